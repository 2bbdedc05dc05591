package main

import (
	"archive/tar"
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

// The Dockerfile that is shipped is one that this program can follow.
func TestDockerfileIsFollowed(t *testing.T) {
	text, err := os.ReadFile("../../../Dockerfile")
	if err != nil {
		t.Fatal(err)
	}
	s, err := parse(string(text))
	if err != nil {
		t.Fatal(err)
	}
	const ca = "/etc/ssl/certs/ca-certificates.crt"
	want := &stage{compile: s.compile, product: "/millrace", files: []file{{ca, ca}, {"/millrace", "/millrace"}}, user: "65532:65532", entrypoint: []string{"/millrace"}}
	if !reflect.DeepEqual(s, want) || !strings.Contains(s.compile, "CGO_ENABLED=0") {
		t.Errorf("got  %+v\nwant %+v", s, want)
	}
}

// What it does not know it must not leave out.
func TestOtherDockerfilesAreRefused(t *testing.T) {
	const first, last = "FROM golang AS build\nRUN go build -o /p .\n", "FROM scratch\nCOPY --from=build /p /p\nENTRYPOINT [\"/p\"]\n"
	if _, err := parse(first + last); err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{
		first + last + "ENV A=b\n", first + last + "COPY --from=build --chmod=755 /p /q\n", first + last + "ENTRYPOINT /p\n", first + last + "FROM scratch\n",
		first + "RUN strip /p\n" + last, strings.Replace(first+last, "scratch", "debian", 1), last,
	} {
		if s, err := parse(text); err == nil {
			t.Errorf("%q gives %+v", text, s)
		}
	}
}

func TestLayer(t *testing.T) {
	program := filepath.Join(t.TempDir(), "p")
	if err := os.WriteFile(program, []byte("program"), 0o755); err != nil {
		t.Fatal(err)
	}
	s := &stage{files: []file{{program, "/a/b/p"}, {program, "/a/q"}}}
	layer, err := s.layer()
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for r := tar.NewReader(bytes.NewReader(layer)); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, h.FileInfo().Mode().String()+" "+h.Name)
	}
	if want := []string{"drwxr-xr-x a/", "drwxr-xr-x a/b/", "-rwxr-xr-x a/b/p", "-rwxr-xr-x a/q"}; !reflect.DeepEqual(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}
