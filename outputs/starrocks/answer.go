package starrocks

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
)

// maxAnswer bounds what is read of an answer; a load's is about 1 KiB.
const maxAnswer = 1 << 20

// answer is what a frontend or backend says, in any of the shapes of
// StreamLoadContext (BE), TransactionResult and RestBaseResult (FE):
// encoding/json does not mind the case of the keys.
type answer struct {
	Status             string
	ExistingJobStatus  string
	Message            string
	Msg                string
	NumberTotalRows    int64
	NumberLoadedRows   int64
	NumberFilteredRows int64
	ErrorURL           string
	State              string
	Reason             string

	code int // of HTTP
}

// text is the message, wherever it stands.
func (a *answer) text() string {
	if a.Message == "" {
		return a.Msg
	}
	return a.Message
}

// readAnswer reads the whole answer. A cut one is an error, and so is one that
// is no JSON object, for nothing follows from it.
func readAnswer(resp *http.Response) (*answer, error) {
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return nil, fmt.Errorf("read answer: %w", err)
	}
	a := &answer{code: resp.StatusCode}
	if err := json.Unmarshal(body, a); err != nil {
		return nil, &unreadableError{resp.StatusCode}
	}
	return a, nil
}

// unreadableError is an answer that is not StarRocks' own: of a proxy, or of a
// server that is breaking down.
type unreadableError struct{ code int }

func (e *unreadableError) Error() string {
	return fmt.Sprintf("the answer is HTTP %d and not JSON", e.code)
}

// in says whether the load is committed. The status alone decides: everything
// that is not an explicit success is a failure, whatever the HTTP code.
// Publish Timeout is committed and becomes visible by itself.
func (a *answer) in() bool {
	return a.Status == "Success" || a.Status == "Publish Timeout"
}

// labelUsed says that a transaction holds the label: an earlier try of ours.
// StarRocks 3.3 and later say so with the status Fail.
func (a *answer) labelUsed() bool {
	return a.Status == "Label Already Exists" || strings.Contains(a.text(), "has already been used")
}

// counts compares a success with what was sent. A difference cannot be undone
// and must not be repeated.
func (a *answer) counts(rows int) error {
	n := int64(rows)
	if a.NumberTotalRows == n && a.NumberLoadedRows == n && a.NumberFilteredRows == 0 {
		return nil
	}
	return fmt.Errorf("rows are missing or too many: sent %d, StarRocks counted %d, loaded %d, filtered %d",
		rows, a.NumberTotalRows, a.NumberLoadedRows, a.NumberFilteredRows)
}

// ofRows says that StarRocks refuses rows of the load: it would again.
func (a *answer) ofRows() bool {
	text := strings.ToLower(a.text())
	return strings.Contains(text, "too many filtered rows") || strings.Contains(text, "no load data") || strings.Contains(text, "no partitions have data")
}

// ofSize says that the load is larger than the backend takes
// (streaming_load_max_mb, streaming_load_max_batch_size_mb).
func (a *answer) ofSize() bool {
	text := strings.ToLower(a.text())
	return strings.Contains(text, "body size") && strings.Contains(text, "exceed limit") || strings.Contains(text, "exceed the max size")
}
