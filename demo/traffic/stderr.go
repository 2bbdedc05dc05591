package traffic

import (
	"fmt"
	"strings"
	"time"
)

// explain queues what Kong writes to its error log about a failed request.
func (k *Kong) explain(at time.Time, a answer, about, id string) {
	say := func(level, what string) {
		k.queue = append(k.queue, Line{"stderr", fmt.Sprintf("%s [%s] 1286#0: *%d %s, %s, request_id: \"%s\"",
			logged(at), level, k.count, what, about, id), Failure})
	}
	switch a.status {
	case 500:
		if k.r.IntN(3) == 0 {
			k.trace(at, about, id)
		}
	case 502:
		say("error", "connect() failed (111: Connection refused) while connecting to upstream")
	case 503:
		say("warn", "[lua] balancer.lua:331: balancer_execute(): no healthy peers")
	case 504:
		say("error", "upstream timed out (110: Operation timed out) while reading response header from upstream")
	}
}

// frames are where a Lua error passed through; each line of a trace ends in
// the address of its function.
var frames = []string{
	"/usr/local/share/lua/5.1/kong/plugins/jwt/handler.lua:46: in function 'access'",
	"/usr/local/share/lua/5.1/kong/init.lua:427: in function 'execute_plugins_iterator'",
	"/usr/local/share/lua/5.1/kong/init.lua:1382: in function 'access'",
	"access_by_lua(nginx-kong.conf:178):2: in main chunk",
}

// trace queues a Lua error: nginx writes it as one message over several lines.
func (k *Kong) trace(at time.Time, about, id string) {
	add := func(kind Kind, text string) { k.queue = append(k.queue, Line{"stderr", text, kind}) }
	add(Failure, fmt.Sprintf("%s [error] 1286#0: *%d lua entry thread aborted: runtime error: %s: attempt to index local 'claims' (a nil value), request_id: \"%s\"",
		logged(at), k.count, strings.SplitN(frames[0], ": ", 2)[0], id))
	add(Trace, "stack traceback: thread 0x"+k.id())
	for _, f := range frames {
		add(Trace, fmt.Sprintf("\t%s <0x%s>", f, k.id()))
	}
	add(Trace, fmt.Sprintf("\t[C]: 0x%s, %s", k.id(), about))
}

var notices = []string{
	`[notice] 1286#0: *%d [lua] init.lua:788: [config] 설정을 다시 읽었습니다 (revision %s)`,
	`[notice] 1286#0: *%d [kong] globalpatches.lua:73 [rate-limiting] counters synced, batch %s`,
	`[warn] 1286#0: *%d a client request body is buffered to a temporary file /usr/local/kong/client_body_temp/%s`,
	`[info] 1286#0: *%d client closed keepalive connection, trace %s`,
}

func (k *Kong) notice(at time.Time) Line {
	id := k.id()
	return Line{"stderr", logged(at) + " " + fmt.Sprintf(pick(k.r, notices), k.count, id), Notice}
}

// malformed is an access line without a proper request: nothing at all from a
// client that sent no byte (the identifier is then its address), or the first
// bytes of a TLS handshake on the plain port.
func (k *Kong) malformed(at time.Time) Line {
	id := k.id()
	if k.r.IntN(2) == 0 {
		addr := fmt.Sprintf("2001:db8:ffff:1:%s:%s:%s:%s", id[:4], id[4:8], id[8:12], id[12:])
		return Line{"stdout", fmt.Sprintf(`%s [%s] "" 400 0.000 - "-" "-"`, addr, local(at)), Malformed}
	}
	var hello strings.Builder
	hello.WriteString(`\x16\x03\x01\x02\x00\x01\x00\x01\xFC\x03\x03`)
	for i := 0; i < len(id); i += 2 {
		hello.WriteString(`\x` + strings.ToUpper(id[i:i+2]))
	}
	return Line{"stdout", fmt.Sprintf(`%s [%s] "%s" 400 0.001 - "-" "-"`, k.client(), local(at), hello.String()), Malformed}
}

// long is what Kong's file-log plugin writes to /dev/stdout about a large
// request: one line of JSON, 17 to 60 kilobytes, with letters of three bytes
// so that pieces end within them.
func (k *Kong) long(at time.Time) Line {
	var b strings.Builder
	fmt.Fprintf(&b, `{"started_at":%d,"request":{"id":"%s","method":"POST","uri":"/api/v1/orders/bulk","size":%d,"body":{"items":[`,
		at.UnixMilli(), k.id(), 20000+k.r.IntN(40000))
	size := 17000 + k.r.IntN(43000)
	for i := 0; b.Len() < size; i++ {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, `{"no":%d,"name":"겨울 코트 \"한정판\"","price":%d}`, i, 1000*(1+k.r.IntN(300)))
	}
	b.WriteString(`]}},"response":{"status":202}}`)
	return Line{"stdout", b.String(), Long}
}
