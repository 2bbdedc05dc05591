package traffic

import (
	"fmt"
	"math/rand/v2"
	"time"
)

// App makes up the lines of a program that is not a gateway: JSON of a web
// service on stdout, with a warning on stderr now and then.
type App struct {
	r    *rand.Rand
	name string
	n    int
}

// NewApp returns a generator for the program called name.
func NewApp(seed uint64, name string) *App {
	return &App{r: rand.New(rand.NewPCG(seed, uint64(len(name)))), name: name}
}

// Next is the next line, written at the given time. Its kind is Notice.
func (a *App) Next(at time.Time) Line {
	a.n++
	if a.r.IntN(40) == 0 {
		return Line{"stderr", fmt.Sprintf("%s WARN  [%s-%d] connection pool is at %d%%", at.UTC().Format(time.RFC3339), a.name, a.n, 60+a.r.IntN(40)), Notice}
	}
	return Line{"stdout", fmt.Sprintf(`{"ts":"%s","level":"info","service":"%s","seq":%d,"msg":"handled","ms":%d}`,
		at.UTC().Format(time.RFC3339Nano), a.name, a.n, a.r.IntN(400)), Notice}
}
