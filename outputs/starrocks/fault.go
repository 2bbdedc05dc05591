package starrocks

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
)

// subject names the table, who we are there and through whom, for sentences.
type subject struct {
	database, table, user string
}

// fault is one sentence about why a load does not get on.
func (s *subject) fault(at, what, advice string) error {
	return fmt.Errorf("load into StarRocks table %s.%s at %s as user %s: %s; %s", s.database, s.table, at, s.user, what, advice)
}

// advices say what to do about a message of StarRocks, by the first fragment
// that it holds in lower case. The fragments are from StarRocks' sources: FrontendServiceImpl, DatabaseTransactionMgr,
// stream_load.cpp, stream_load_executor.cpp, delta_writer.cpp.
var advices = []struct{ fragment, advice string }{
	{"access denied", "check username and password, and GRANT INSERT ON the table to the user"},
	{"need auth information", "check username and password"},
	{"no valid basic authorization", "check username and password"},
	{"unknown database", "create the database or correct the key database"},
	{"unknown table", "create the table or correct the key table"},
	{"too many filtered rows", "nothing of it was loaded; the row is searched for"},
	{"no load data", "nothing of it was loaded; the row is searched for"},
	{"no partitions have data", "nothing of it was loaded; the row is searched for, compare the table's partitions with its time"},
	{"current running txns", "other loads fill the database's max_running_txn_num_per_db; it is tried again"},
	{"txn num per be exceeds", "other loads fill stream_load_max_txn_num_per_be; it is tried again"},
	{"too many versions", "lower load.max_per_second or raise load.max_age, so that compaction keeps up; it is tried again"},
	{"exceed limit", "it is sent in halves; lower load.max_bytes or raise the backend's streaming_load_max_mb"},
	{"exceed the max size", "it is sent in halves; lower load.max_bytes or raise the backend's streaming_load_max_batch_size_mb"},
	{"data size exceeds quota", "raise the database's quota or delete data"},
	{"cuncurrent limit", "too many loads run at once; it is tried again"},
	{"shutting down", "the backend restarts; it is tried again"},
	{"not master", "the leader has moved; it is tried again"},
	{"transaction status unknown", "the state of the label decides"},
	{"has already been used", "the state of the label decides"},
	{"unsupported compression", "set compression to none: compressed JSON needs StarRocks 3.2.7"},
	{"no backend alive", "start a backend; it is tried again"},
	{"timeout by txn manager", "raise load.timeout or look why the cluster is slow; it is tried again"},
	{"100-continue", "something between here and the frontend removes the header Expect"},
}

func adviceOn(message string) string {
	message = strings.ToLower(message)
	for _, a := range advices {
		if strings.Contains(message, a.fragment) {
			return a.advice
		}
	}
	return "it is tried again"
}

// maxMessage bounds what is quoted of StarRocks' messages.
const maxMessage = 240

// aboutColumn is how a message about a value ends. "The type of 'c' is T" is
// from file_scanner.cpp, "column 'c'" from nullable_column.cpp.
var aboutColumn = regexp.MustCompile(`(?:The type of|column) '([A-Za-z_][A-Za-z0-9_]*)'( is [A-Z0-9]+(\([0-9, ]+\))?)?[. ]*$`)

// clean makes a message of StarRocks fit for a log: one short line without the
// values of rows, which it puts between apostrophes or after "Row:". A value may
// hold apostrophes itself and a message may be cut within it, so nothing counts
// after the first one but the name of a column at the end. t may be nil, which
// knows no column.
func (t *table) clean(message string) string {
	message, _, _ = strings.Cut(message, "Row:")
	message = strings.Join(strings.Fields(strings.ToValidUTF8(message, "?")), " ")
	message = t.mask(message)
	if len(message) > maxMessage {
		message = strings.ToValidUTF8(message[:maxMessage], "") + "..."
	}
	return strings.TrimRight(message, ". ")
}

func (t *table) mask(message string) string {
	first := strings.IndexByte(message, '\'')
	if first < 0 {
		return message
	}
	at := aboutColumn.FindStringSubmatchIndex(message)
	switch {
	case at == nil || t == nil || t.find(message[at[2]:at[3]]) == nil:
		return message[:first] + "'...'"
	case at[0] < first:
		return message
	}
	return message[:first] + "'...' " + message[at[0]:]
}

// reason is the innermost part of a network error: what wraps it names our
// own port, which is another one at each try.
func reason(err error) string {
	var (
		dns     *net.DNSError
		errno   syscall.Errno
		unknown x509.UnknownAuthorityError
		host    x509.HostnameError
		record  tls.RecordHeaderError
		file    *fs.PathError
		other   *unreadableError
		timeout net.Error
	)
	switch {
	case errors.As(err, &file):
		return file.Error()
	case errors.As(err, &dns):
		return "the host name " + dns.Name + " is not known"
	case errors.As(err, &errno):
		return errno.Error()
	case errors.As(err, &unknown), errors.As(err, &host):
		return "its certificate is not trusted: " + err.Error()
	case errors.As(err, &record):
		return "it does not speak TLS"
	case errors.As(err, &other):
		return other.Error()
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return "it closed the connection before its answer was complete"
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &timeout) && timeout.Timeout():
		return "it does not answer in time"
	}
	return strings.Join(strings.Fields(err.Error()), " ")
}

// faults knows which parts of an output do not get on, and reports the one
// that has lasted longest.
type faults struct {
	report func(error)

	mu   sync.Mutex
	list []partFault
}

type partFault struct {
	part string
	err  error
}

// set says how a part is; nil is fine.
func (f *faults) set(part string, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	i := slices.IndexFunc(f.list, func(p partFault) bool { return p.part == part })
	switch {
	case err == nil && i >= 0:
		f.list = slices.Delete(f.list, i, i+1)
	case err != nil && i >= 0:
		f.list[i].err = err
	case err != nil:
		f.list = append(f.list, partFault{part, err})
	}
	if f.report == nil {
		return
	}
	if len(f.list) == 0 {
		f.report(nil)
		return
	}
	f.report(f.list[0].err)
}

// haltError is a failure that neither repeating nor going on would mend: the
// load waits for an operator.
type haltError struct{ error }

func (e *haltError) Unwrap() error { return e.error }
