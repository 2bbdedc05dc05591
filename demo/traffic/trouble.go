package traffic

import (
	"fmt"
	"math"
	"time"
)

// trouble is a spell in which one site answers slowly or not at all.
type trouble struct {
	host        string
	start, over time.Time
}

// plan moves on to the next spell when one is over: 5 to 20 seconds of
// trouble, 20 to 80 seconds apart, and the first one early.
func (k *Kong) plan(at time.Time) {
	if at.Before(k.trouble.over) {
		return
	}
	wait := 20 + k.r.IntN(60)
	if k.trouble.over.IsZero() {
		wait = 2 + k.r.IntN(8)
	}
	start := at.Add(time.Duration(wait) * time.Second)
	k.trouble = trouble{
		host: pick(k.r, sites).host, start: start,
		over: start.Add(time.Duration(5+k.r.IntN(15)) * time.Second),
	}
}

// answer is how a request ended.
type answer struct {
	status   int
	total    time.Duration
	upstream string // $upstream_response_time
}

func (k *Kong) answer(at time.Time, s site, e endpoint) answer {
	k.plan(at)
	slow, broken := e.slow, e.broken
	if s.host == k.trouble.host && !at.Before(k.trouble.start) {
		slow, broken = 0.5, 0.6
	}
	took := time.Duration(float64(e.typical) * math.Exp(0.5*k.r.NormFloat64()))
	if k.r.Float64() < slow {
		took = min(6*took+time.Duration(k.r.IntN(3000))*ms, 9900*ms)
	}
	total := took + time.Duration(k.r.IntN(4))*ms
	if k.r.Float64() < broken {
		return k.refusal(total, took)
	}
	return answer{k.success(e), total, k.tries(took)}
}

// refusal is a failed request; those that Kong itself refuses have no
// upstream time.
func (k *Kong) refusal(total, took time.Duration) answer {
	switch p := k.r.Float64(); {
	case p < 0.20:
		return answer{401, 2 * ms, "-"}
	case p < 0.35:
		return answer{429, 1 * ms, "-"}
	case p < 0.50:
		return answer{404, total, seconds(took)}
	case p < 0.55:
		return answer{499, total, "-"}
	case p < 0.70:
		return answer{500, total, seconds(took)}
	case p < 0.80:
		return answer{503, 5 * ms, "-"}
	case p < 0.90:
		return answer{502, total, seconds(took/2) + ", " + seconds(took/2)}
	}
	return answer{504, 10*time.Second + total, seconds(took) + ", 10.000"}
}

func (k *Kong) success(e endpoint) int {
	switch {
	case e.method == "POST":
		return 201
	case e.method == "DELETE" || e.method == "OPTIONS":
		return 204
	case e.method == "GET" && k.r.IntN(12) == 0:
		return 304
	}
	return 200
}

// tries is the time of each attempt at an upstream: mostly one, sometimes a
// second in the same group, and a colon after an internal redirect.
func (k *Kong) tries(took time.Duration) string {
	switch k.r.IntN(200) {
	case 0:
		return "0.001, " + seconds(took)
	case 1:
		return seconds(took/3) + " : " + seconds(took/2)
	case 2:
		return fmt.Sprintf("0.002, %s : %s", seconds(took/3), seconds(took/2))
	}
	return seconds(took)
}

// Load is how busy the gateway is at a time, from 0.3 to about 1.2 of its
// ordinary rate: a day with peaks in the afternoon and evening of its users,
// and waves of some minutes.
func Load(at time.Time) float64 {
	local := at.In(Zone)
	hour := float64(local.Hour()) + float64(local.Minute())/60
	day := 0.75 + 0.2*math.Sin((hour-9)/24*2*math.Pi) + 0.1*math.Sin((hour-17)/12*2*math.Pi)
	wave := 0.15 * math.Sin(float64(at.Unix()%420)/420*2*math.Pi)
	return math.Max(0.3, day+wave)
}
