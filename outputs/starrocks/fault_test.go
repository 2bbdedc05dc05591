package starrocks

import (
	"strings"
	"testing"
)

func TestMessagesWithoutTheValuesOfRows(t *testing.T) {
	for message, want := range map[string]string{
		"too many filtered rows": "too many filtered rows",
		"Value 'secret' is out of range. The type of 'status' is INT.":                           "Value '...' The type of 'status' is INT",
		"Value 'it's secret of Bob's' is out of range. The type of 'status' is DECIMAL64(10, 2)": "Value '...' The type of 'status' is DECIMAL64(10, 2)",
		"Value 'The type of 'status' is secret' is out of range. The type of 'status' is INT":    "Value '...' The type of 'status' is INT",
		"Value 'it's secret": "Value '...'",
		"Value 'secret":      "Value '...'",
		"Value 'a' is out of range. The type of 'secret' is INT":   "Value '...'",
		"NULL value in non-nullable column 'message'. Row: secret": "NULL value in non-nullable column 'message'",
		"NULL value in non-nullable column 'secret'":               "NULL value in non-nullable column '...'",
		"two\n lines  \xff": "two lines ?",
	} {
		if got := stockTable().clean(message); got != want {
			t.Errorf("%q: got %q, want %q", message, got, want)
		}
		if got := (*table)(nil).clean(message); strings.Contains(got, "secret") {
			t.Errorf("%q: without a table got %q", message, got)
		}
	}
}

func TestReportsHoldNoValueWithApostrophes(t *testing.T) {
	r := newRig(t, nil, nil)
	r.write(`{"time":"2026-08-21T08:15:30Z","message":"m","status":"it's my-token of Bob's\nsecond 'line"}`)
	r.reported("can be no row", "Value '...'")
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, err := range r.reports {
		if err != nil && (strings.Contains(err.Error(), "my-token") || strings.Contains(err.Error(), "second")) {
			t.Errorf("a report holds the row: %q", err)
		}
	}
}
