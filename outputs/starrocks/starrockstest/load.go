package starrockstest

import (
	"cmp"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// loadPlan is one load as its headers ask for it.
type loadPlan struct {
	db, table string
	body      []byte // as sent; not kept
	label     string
	outer     bool
	strict    bool
	ratio     float64
	timeout   time.Duration
	codec     string
	skipLast  bool // fault: one row too few

	memory, memoryLimit int64
}

// loadResult is what the answer tells of a load.
type loadResult struct {
	TxnID      int64
	Label      string
	Status     string
	JobStatus  string
	Message    string
	Total      int64
	Loaded     int64
	Filtered   int64
	LoadBytes  int64
	ErrorURL   string
	began      time.Time
	beginTime  time.Duration
	planTime   time.Duration
	readTime   time.Duration
	writeTime  time.Duration
	commitTime time.Duration
}

// json prints the answer of a backend: key names, order and indentation of
// StreamLoadContext::to_json.
func (r *loadResult) json() []byte {
	var o object
	o.number("TxnId", r.TxnID)
	o.text("Label", r.Label)
	o.text("Status", r.Status)
	if r.JobStatus != "" {
		o.text("ExistingJobStatus", r.JobStatus)
	}
	o.text("Message", r.Message)
	o.number("NumberTotalRows", r.Total)
	o.number("NumberLoadedRows", r.Loaded)
	o.number("NumberFilteredRows", r.Filtered)
	o.number("NumberUnselectedRows", 0)
	o.number("LoadBytes", r.LoadBytes)
	o.number("LoadTimeMs", time.Since(r.began).Milliseconds())
	o.number("BeginTxnTimeMs", r.beginTime.Milliseconds())
	o.number("StreamLoadPlanTimeMs", r.planTime.Milliseconds())
	o.number("ReadDataTimeMs", r.readTime.Milliseconds())
	o.number("WriteDataTimeMs", r.writeTime.Milliseconds())
	o.number("CommitAndPublishTimeMs", r.commitTime.Milliseconds())
	if r.ErrorURL != "" {
		o.text("ErrorURL", r.ErrorURL)
	}
	return o.pretty()
}

// fail fills the result from the error that ended the load.
func (r *loadResult) fail(err error, legacy bool) {
	r.Status, r.Message = "Fail", err.Error()
	var used *labelUsedError
	if errors.As(err, &used) && legacy {
		r.Status, r.JobStatus = "Label Already Exists", used.jobStatus()
		r.Message = fmt.Sprintf("Label [%s] has already been used, relate to txn [%d]", used.label, used.txn.ID)
	}
}

// refuseOne makes a good result one with a bad row, and returns its error log.
func (r *loadResult) refuseOne() []byte {
	if r.Loaded > 0 {
		r.Loaded--
		r.Filtered++
	}
	return []byte("Error: injected: the row is refused. Row: {}\n")
}

// header is the way the two HTTP interfaces show their headers.
type header interface{ Get(name string) string }

// unsupported are headers that change what is loaded and that this server does
// not implement; it refuses them rather than ignore them.
var unsupported = []string{"jsonpaths", "json_root", "envelope", "columns", "where", "partitions", "temporary_partitions",
	"partial_update", "merge_condition", "negative", "skip_header", "transaction_type", "channel_id"}

// format checks the header "format".
func checkFormat(h header) error {
	format := strings.ToLower(h.Get("format"))
	switch format {
	case "json":
		return nil
	case "", "csv", "gzip", "bzip2", "lz4", "deflate", "zstd":
		return errors.New("this stand-in loads JSON only: send the header format: json")
	}
	return fmt.Errorf("unknown data format, format=%s", h.Get("format"))
}

// checkSize compares a Content-Length with the limits; -1 (chunked) passes.
func (s *Server) checkSize(length int64) error {
	if limit := int64(s.limit(maxBodyMB)) << 20; length > limit {
		return fmt.Errorf("body size %d exceed limit: %d, Increase BE config streaming_load_max_mb", length, limit)
	}
	return nil
}

func (s *Server) checkJSONSize(length int64, h header) error {
	limit := int64(s.limit(maxJSONMB)) << 20
	if length > limit && !strings.EqualFold(h.Get("ignore_json_size"), "true") {
		return fmt.Errorf("The size of this batch exceed the max size [%d] of json type data  data [ %d ]. Set ignore_json_size to skip the check, although it may lead huge memory consuming.", limit, length)
	}
	return nil
}

func (s *Server) parseTimeout(h header) (time.Duration, error) {
	text := h.Get("timeout")
	if text == "" {
		return time.Duration(s.limit(defaultTimeout)) * time.Second, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		return 0, errors.New("Invalid timeout format")
	}
	if n < s.limit(minTimeout) || n > s.limit(maxTimeout) {
		return 0, fmt.Errorf("Invalid timeout: %d. Timeout should between %d and %d seconds", n, s.limit(minTimeout), s.limit(maxTimeout))
	}
	return time.Duration(n) * time.Second, nil
}

// options reads the header values that the server checks after begin.
func (p *loadPlan) options(h header) error {
	for _, name := range unsupported {
		if v := h.Get(name); v != "" && v != "false" {
			return fmt.Errorf("this stand-in does not implement the header %s", name)
		}
	}
	p.outer = strings.EqualFold(h.Get("strip_outer_array"), "true")
	switch v := h.Get("strict_mode"); {
	case strings.EqualFold(v, "true"):
		p.strict = true
	case v != "" && !strings.EqualFold(v, "false"):
		return errors.New("Invalid strict mode format. Must be bool type")
	}
	if v := h.Get("max_filter_ratio"); v != "" {
		ratio, err := strconv.ParseFloat(v, 64)
		if err != nil || ratio < 0 || ratio > 1 {
			return fmt.Errorf("Invalid max_filter_ratio: %s", v)
		}
		p.ratio = ratio
	}
	p.memoryLimit = 2 << 30 // as the Stream Load page has it
	for _, name := range []string{"load_mem_limit", "exec_mem_limit"} {
		v := h.Get(name)
		n, err := strconv.ParseInt(cmp.Or(v, "1"), 10, 64)
		switch {
		case err != nil || n < 0 || n == 0 && name == "exec_mem_limit":
			return errors.New("Invalid load mem limit format")
		case v != "" && n > 0:
			p.memoryLimit = n
		}
	}
	if v := h.Get("timezone"); v != "" {
		if _, err := parseZone(v); err != nil {
			return fmt.Errorf("Unknown or incorrect time zone: '%s'", v)
		}
	}
	if h.Get("compression") != "" && h.Get("Content-Encoding") != "" {
		return errors.New("Only one of http header content-encoding and compression can be set")
	}
	p.codec = h.Get("compression") + h.Get("Content-Encoding")
	if !knownCodec(p.codec) {
		return fmt.Errorf("Unsupported compression type: %s", strings.ToUpper(p.codec))
	}
	return nil
}

const errorLines = 50 // per error log file, as in the JSON scanner

// scan reads the rows of a body into the batch. An error fails the load with
// all counters zero.
func (p *loadPlan) scan(body []byte, batch *rowBatch, result *loadResult) (errorLog []byte, err error) {
	if !utf8.Valid(body) {
		return nil, scanError(errors.New("UTF8_ERROR: The input is not valid UTF-8"))
	}
	rows := newRowReader(body, batch.columns)
	rows.outer, rows.strict = p.outer, p.strict
	var filtered int64
	for {
		err := rows.next()
		if err == nil {
			err = batch.add(rows.cells)
		}
		if err == nil {
			continue
		}
		if err == errEndOfRows {
			break
		}
		var fault *rowFault
		if !errors.As(err, &fault) {
			return nil, err
		}
		if filtered++; filtered <= errorLines {
			errorLog = fmt.Appendf(errorLog, "Error: %s. Row: %s\n", fault.reason, body[rows.from:rows.pos])
		}
	}
	if p.skipLast {
		batch.dropLast()
	}
	result.Loaded = batch.total
	result.Filtered += filtered
	result.Total = result.Loaded + result.Filtered
	return errorLog, nil
}

// verdict is the check between reading and committing.
func (s *Server) verdict(p *loadPlan, r *loadResult) error {
	if r.Total > 0 && float64(r.Filtered)/float64(r.Total) > p.ratio {
		return errors.New("too many filtered rows")
	}
	if r.Loaded == 0 && s.limit(emptyLoadAsError) == 1 {
		return errors.New("all partitions have no load data")
	}
	return nil
}

// addVersion counts the load in the tablets of its table.
func (s *Server) addVersion(x *txn) error {
	t := x.table
	t.mu.Lock()
	defer t.mu.Unlock()
	limit := s.limit(maxTabletVersions)
	count := int(t.versions.settle(float64(s.limit(compactionRate)), time.Now()))
	if f := s.faults.take(TooManyVersions, t.name, x.Label); f != nil || count >= limit {
		return fmt.Errorf("Failed to load data into tablet %d, because of too many versions, current/limit: %d/%d. You can reduce the loading job concurrency, or increase loading data batch size. If you are loading data with Routine Load, you can increase FE configs routine_load_task_consume_second and max_routine_load_batch_size",
			t.id+1, max(count, limit), limit)
	}
	t.versions.count++
	return nil
}
