package main

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path"
	"runtime"
	"strings"
)

// archive writes the image as one layer, the form of the OCI image
// specification's config and of `docker save`'s manifest.json. Equal files give
// equal bytes.
func (s *stage) archive(w io.Writer, name string) error {
	layer, err := s.layer()
	if err != nil {
		return err
	}
	config, err := json.Marshal(map[string]any{
		"architecture": runtime.GOARCH, "os": "linux", "created": "1970-01-01T00:00:00Z",
		"config": map[string]any{"Env": []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}, "Entrypoint": s.entrypoint, "User": s.user, "WorkingDir": "/"},
		"rootfs": map[string]any{"type": "layers", "diff_ids": []string{fmt.Sprintf("sha256:%x", sha256.Sum256(layer))}},
	})
	if err != nil {
		return fmt.Errorf("describe the image: %w", err)
	}
	manifest, err := json.Marshal([]map[string]any{{"Config": "config.json", "RepoTags": []string{name}, "Layers": []string{"layer.tar"}}})
	if err != nil {
		return fmt.Errorf("describe the archive: %w", err)
	}
	t := tar.NewWriter(w)
	for _, f := range []struct {
		name string
		data []byte
	}{{"manifest.json", manifest}, {"config.json", config}, {"layer.tar", layer}} {
		if err := add(t, tar.Header{Name: f.name, Mode: 0o644}, f.data); err != nil {
			return err
		}
	}
	if err := t.Close(); err != nil {
		return fmt.Errorf("write the archive: %w", err)
	}
	return nil
}

// layer is the image's file system; all of it belongs to root.
func (s *stage) layer() ([]byte, error) {
	var b bytes.Buffer
	t, made := tar.NewWriter(&b), map[string]bool{}
	for _, f := range s.files {
		info, err := os.Stat(f.from)
		if err != nil {
			return nil, fmt.Errorf("copy %s: %w", f.to, err)
		}
		data, err := os.ReadFile(f.from)
		if err != nil {
			return nil, fmt.Errorf("copy %s: %w", f.to, err)
		}
		var dirs []string
		for dir := path.Dir(f.to); dir != "/" && !made[dir]; dir = path.Dir(dir) {
			made[dir] = true
			dirs = append([]string{dir}, dirs...)
		}
		for _, dir := range dirs {
			if err := add(t, tar.Header{Typeflag: tar.TypeDir, Name: strings.TrimPrefix(dir, "/") + "/", Mode: 0o755}, nil); err != nil {
				return nil, err
			}
		}
		if err := add(t, tar.Header{Name: strings.TrimPrefix(f.to, "/"), Mode: int64(info.Mode().Perm())}, data); err != nil {
			return nil, err
		}
	}
	if err := t.Close(); err != nil {
		return nil, fmt.Errorf("write the layer: %w", err)
	}
	return b.Bytes(), nil
}

func add(t *tar.Writer, h tar.Header, data []byte) error {
	h.Size = int64(len(data))
	if err := t.WriteHeader(&h); err != nil {
		return fmt.Errorf("write %s: %w", h.Name, err)
	}
	if _, err := t.Write(data); err != nil {
		return fmt.Errorf("write %s: %w", h.Name, err)
	}
	return nil
}
