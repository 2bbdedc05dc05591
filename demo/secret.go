package main

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// people are those who have a password: Kafka's users by their names, and the
// two of StarRocks.
var people = []string{"admin", "agent", "collector", "starrocks", "dashboard"}

// loadSecrets reads everybody's password from a file of the folder, and makes
// up those that are missing.
func loadSecrets(dir string) (map[string]string, error) {
	secrets := map[string]string{}
	for _, who := range people {
		path := secretFile(dir, who)
		b, err := os.ReadFile(path)
		if errors.Is(err, fs.ErrNotExist) {
			b = []byte(randomSecret())
			err = os.WriteFile(path, b, 0o600)
		}
		if err != nil {
			return nil, fmt.Errorf("password of %s: %w", who, err)
		}
		secrets[who] = strings.TrimSpace(string(b))
	}
	return secrets, nil
}

func secretFile(dir, who string) string { return filepath.Join(dir, who+".password") }

func randomSecret() string { return rand.Text() }

// stableHex is 64 hexadecimal digits that depend on the name alone.
func stableHex(name string) string {
	sum := sha256.Sum256([]byte("millrace demo " + name))
	return hex.EncodeToString(sum[:])
}

// stableUID is a UID that depends on the name alone, so that a work folder
// can be used again.
func stableUID(name string) string {
	h := stableHex(name)
	return h[:8] + "-" + h[8:12] + "-4" + h[13:16] + "-a" + h[17:20] + "-" + h[20:32]
}
