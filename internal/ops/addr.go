package ops

import (
	"net"
	"strconv"

	"millrace/internal/config"
)

// ValidateAddr adds a mistake unless addr is empty, HOST:PORT or :PORT.
func ValidateAddr(e *config.Errors, key, addr string) {
	if addr == "" {
		return
	}
	_, port, err := net.SplitHostPort(addr)
	if n, perr := strconv.Atoi(port); err != nil || perr != nil || n < 0 || n > 65535 {
		e.Add(key, "must be HOST:PORT, :PORT, or empty for none, not %q", addr)
	}
}
