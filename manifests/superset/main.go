// Command superset zips the dashboard for Superset's import: the YAML beside
// it, with one data set chosen for the charts.
//
//	go run ./manifests/superset -dataset typed -database starrocks://reader@starrocks:9030/default_catalog.quickstart
//
// The same sources and flags give the same bytes. What Superset has under a
// uuid an import leaves as it is, but for the dashboard; so charts and data
// sets get their uuids from their contents, and those of another bundle, or of
// a later version, come beside them and not too late.
package main

import (
	"archive/zip"
	"bytes"
	"crypto/sha1"
	"embed"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path"
	"regexp"
	"slices"
	"strings"
	"time"
)

//go:embed metadata.yaml databases datasets charts dashboards
var sources embed.FS

// choice is what -dataset names: the data set of most charts, and that of the
// charts that need single lines or minutes.
type choice struct{ charts, lines string }

var choices = map[string]choice{
	"message":   {"message", "message"},
	"typed":     {"typed", "typed"},
	"aggregate": {"aggregate", "typed"},
}

// folder is where everything stands in the archive.
const folder = "kong_access_logs/"

// modified is the time of all files in the archive, the first that zip knows.
var modified = time.Date(1980, 1, 1, 0, 0, 0, 0, time.UTC)

func main() {
	dataset := flag.String("dataset", "message", "what the charts read: message, typed or aggregate")
	database := flag.String("database", "starrocks://root@127.0.0.1:9030/default_catalog.quickstart", "address of StarRocks: starrocks://USER@HOST:9030/default_catalog.quickstart")
	out := flag.String("o", "bin/kong_access_logs.zip", "the archive")
	flag.Parse()
	if err := write(*out, *dataset, *database); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Fprintln(os.Stdout, *out)
}

func write(name, dataset, database string) error {
	files, err := bundle(dataset, database)
	if err != nil {
		return err
	}
	var archive bytes.Buffer
	if err := pack(&archive, files); err != nil {
		return fmt.Errorf("pack the archive: %w", err)
	}
	if err := os.MkdirAll(path.Dir(name), 0o755); err != nil {
		return fmt.Errorf("make the folder of the archive: %w", err)
	}
	if err := errors.Join(os.WriteFile(name, archive.Bytes(), 0o600), os.Chmod(name, 0o600)); err != nil { // the address may hold a password
		return fmt.Errorf("write the archive: %w", err)
	}
	return nil
}

// bundle gives the files of the archive by their names.
func bundle(dataset, database string) (map[string]string, error) {
	use, ok := choices[dataset]
	if !ok {
		return nil, fmt.Errorf("-dataset %q: say one of %q", dataset, slices.Sorted(maps.Keys(choices)))
	}
	if address, _, _ := strings.Cut(database, "?"); !strings.HasPrefix(address, "starrocks://") || !strings.HasSuffix(address, "/default_catalog.quickstart") {
		return nil, errors.New("-database: say starrocks://USER@HOST:9030/default_catalog.quickstart; with another scheme or without the catalog charts are wrong or empty, and the data sets read the database quickstart")
	}
	files, known := map[string]string{}, map[string]string{"${DATABASE_URI}": quote(database)}
	// Each folder's files name what the folders before it hold.
	for _, dir := range []string{"databases", "datasets", "charts", "dashboards"} {
		entries, err := fs.ReadDir(sources, dir)
		if err != nil {
			return nil, err
		}
		for _, e := range entries {
			name := strings.TrimSuffix(e.Name(), ".yaml")
			if dir == "datasets" && name != use.charts && name != use.lines {
				continue
			}
			text, id, err := fill(path.Join(dir, e.Name()), known)
			if err != nil {
				return nil, err
			}
			known["${"+dir+"/"+name+"}"] = id
			at := path.Join(dir, e.Name())
			if dir == "datasets" {
				at = path.Join(dir, "StarRocks", e.Name())
			}
			files[at] = text
		}
		known["${DATASET}"], known["${LINES}"] = known["${datasets/"+use.charts+"}"], known["${datasets/"+use.lines+"}"]
	}
	metadata, err := sources.ReadFile("metadata.yaml")
	files["metadata.yaml"] = string(metadata)
	return files, err
}

// quote writes a text as YAML's single-quoted scalar.
func quote(s string) string { return "'" + strings.ReplaceAll(s, "'", "''") + "'" }

var placeholder = regexp.MustCompile(`\$\{[^}]*\}`)

// fill puts what is known in the place of its name, and an id made of all
// that in the place of ${UUID}.
func fill(name string, known map[string]string) (text, id string, err error) {
	data, err := sources.ReadFile(name)
	if err != nil {
		return "", "", err
	}
	for _, k := range placeholder.FindAllString(string(data), -1) {
		if _, ok := known[k]; !ok && k != "${UUID}" {
			return "", "", fmt.Errorf("%s names %s, which is not there", name, k)
		}
	}
	var pairs []string
	for _, k := range slices.Sorted(maps.Keys(known)) {
		pairs = append(pairs, k, known[k])
	}
	id = uuid(strings.NewReplacer(pairs...).Replace(string(data)))
	return strings.NewReplacer(append(pairs, "${UUID}", id)...).Replace(string(data)), id, nil
}

// namespace is that of our name-based uuids (RFC 9562, version 5).
var namespace = []byte{0x6f, 0x4d, 0xc1, 0xea, 0x93, 0xa5, 0x4a, 0x2e, 0x9a, 0x49, 0x6e, 0x2a, 0x5d, 0x6c, 0x1b, 0x01}

func uuid(text string) string {
	sum := sha1.Sum(append(slices.Clone(namespace), text...))
	sum[6], sum[8] = sum[6]&0x0f|0x50, sum[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", sum[:4], sum[4:6], sum[6:8], sum[8:10], sum[10:16])
}

// pack writes the archive, in the order of the names.
func pack(w io.Writer, files map[string]string) error {
	z := zip.NewWriter(w)
	for _, name := range slices.Sorted(maps.Keys(files)) {
		f, err := z.CreateHeader(&zip.FileHeader{Name: folder + name, Method: zip.Deflate, Modified: modified})
		if err != nil {
			return err
		}
		if _, err := io.WriteString(f, files[name]); err != nil {
			return err
		}
	}
	return z.Close()
}
