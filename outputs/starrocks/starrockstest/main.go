package starrockstest

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
)

// list is a flag that may be given more than once.
type list []string

func (l *list) String() string     { return strings.Join(*l, " ") }
func (l *list) Set(s string) error { *l = append(*l, s); return nil }

// program is the command line of Main.
type program struct {
	cfg                     Config
	control                 string
	backends                string
	users, ddl, set, faults list
}

// Main runs a server as a program: args are its flags (-h lists them), and it
// ends by SIGTERM or SIGINT, or by kill -9, after which the same -dir and
// addresses bring it back. When everything listens it writes one line to out,
// the JSON object that GET / of the control address answers. It returns the
// exit code; errors go to errs.
func Main(args []string, out, errs io.Writer) int {
	p, code := parseProgram(args, errs)
	if p == nil {
		return code
	}
	if err := p.run(out); err != nil {
		fmt.Fprintln(errs, err)
		return 1
	}
	return 0
}

func parseProgram(args []string, errs io.Writer) (*program, int) {
	p := &program{}
	f := flag.NewFlagSet("starrocks", flag.ContinueOnError)
	f.SetOutput(errs)
	f.StringVar(&p.cfg.Dir, "dir", "", "directory of the edit log; empty is memory only")
	f.StringVar(&p.cfg.FrontendAddr, "frontend", "127.0.0.1:0", "address of the first frontend")
	f.IntVar(&p.cfg.Frontends, "frontends", 1, "how many frontends")
	f.StringVar(&p.backends, "backends", "127.0.0.1:0", "addresses of the backends, by commas")
	f.StringVar(&p.cfg.MySQLAddr, "mysql", "127.0.0.1:0", "address of the MySQL protocol")
	f.StringVar(&p.control, "control", "127.0.0.1:0", "address of the switches; see Server.Control")
	f.BoolVar(&p.cfg.Discard, "discard", false, "count rows and drop them")
	f.BoolVar(&p.cfg.GenericLabelFailure, "generic-label-failure", false, "answer a used label as version 3.3 does")
	f.Uint64Var(&p.cfg.Seed, "seed", 1, "of faults with a chance")
	f.Var(&p.users, "user", "NAME:PASSWORD with all rights; without one root has no password")
	f.Var(&p.ddl, "ddl", "file of SQL to run when the directory is empty; SQL itself if it starts with CREATE")
	f.Var(&p.set, "set", "NAME=VALUE, a configuration item such as label_keep_max_num=20")
	f.Var(&p.faults, "fault", `as "drop after commit,times=-1,chance=0.05"`)
	if err := f.Parse(args); err != nil {
		return nil, 2
	}
	if err := p.fill(); err != nil {
		fmt.Fprintln(errs, err)
		return nil, 2
	}
	return p, 0
}

// fill makes the configuration of the flags that are lists.
func (p *program) fill() error {
	p.cfg.BackendAddrs, p.cfg.Set = strings.Split(p.backends, ","), map[string]string{}
	for _, item := range p.set {
		name, val, _ := strings.Cut(item, "=")
		p.cfg.Set[name] = val
	}
	for _, spec := range p.faults {
		f, err := ParseFault(spec)
		if err != nil {
			return err
		}
		p.cfg.Faults = append(p.cfg.Faults, f)
	}
	for _, u := range p.users {
		name, password, _ := strings.Cut(u, ":")
		p.cfg.Users = append(p.cfg.Users, User{Name: name, Password: password, Insert: true, Select: true, Admin: true})
	}
	for _, script := range p.ddl {
		if !strings.HasPrefix(strings.ToUpper(strings.TrimSpace(script)), "CREATE") {
			text, err := os.ReadFile(script)
			if err != nil {
				return fmt.Errorf("read definitions: %w", err)
			}
			script = string(text)
		}
		p.cfg.DDL = append(p.cfg.DDL, script)
	}
	return nil
}

func (p *program) run(out io.Writer) error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	s, err := New(p.cfg)
	if err != nil {
		return err
	}
	defer s.Close() // a crash leaves the same
	control, err := listenHTTP(p.control, s.Control())
	if err != nil {
		return err
	}
	defer control.stop()
	ready := s.state()
	ready.Control = control.addr()
	if err := json.NewEncoder(out).Encode(ready); err != nil {
		return fmt.Errorf("tell the addresses: %w", err)
	}
	<-ctx.Done()
	return nil
}
