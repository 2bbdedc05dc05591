package starrockstest

import (
	"crypto/subtle"
	"fmt"
	"net"
	"net/http"
)

// User is an account with its privileges on every table. Select also rules
// reading over the MySQL protocol; Insert rules loading and label states;
// Admin allows definitions over the MySQL protocol.
type User struct {
	Name     string
	Password string
	Insert   bool
	Select   bool
	Admin    bool
}

// checkPassword gives the user a request's Basic header names. basic is false
// when there is no header that can be parsed.
func (s *Server) checkPassword(r *http.Request) (u User, basic bool, err error) {
	name, password, ok := r.BasicAuth()
	if !ok {
		return User{}, false, fmt.Errorf("Need auth information.")
	}
	u, known := s.users[name]
	same := subtle.ConstantTimeCompare([]byte(u.Password), []byte(password)) == 1
	if !known || !same {
		return User{}, true, fmt.Errorf("Access denied for %s@%s", name, remoteIP(r))
	}
	return u, true, nil
}

func (u User) mayInsert() error {
	if !u.Insert {
		return fmt.Errorf("Access denied; you need (at least one of) the INSERT privilege(s) for this operation")
	}
	return nil
}

func remoteIP(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	return host
}
