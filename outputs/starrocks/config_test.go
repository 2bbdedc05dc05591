package starrocks

import (
	"strings"
	"testing"

	"millrace/internal/config"
)

func TestAFieldGoesToOneColumn(t *testing.T) {
	for columns, want := range map[string]string{
		`{message: x, stream: y}`:                              "",
		`{message: x, '"message"': y}`:                         "it is the same field as",
		`{kubernetes.pod_name: x, 'kubernetes."pod_name"': y}`: "it is the same field as",
		`{'a."b.c"': x, a.b.c: y}`:                             "",
		`{message: x, stream: x}`:                              "goes there already",
	} {
		text := "urls: [http://fe:8030]\ndatabase: d\ntable: t\nusername: u\npassword_file: /etc/password\ncolumns: " + columns + "\n"
		f, err := config.Parse("f", []byte(text))
		if err == nil {
			err = f.Decode(&Config{})
		}
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: %v, want %q", columns, err, want)
		}
	}
}
