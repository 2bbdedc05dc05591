package main

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"testing"
)

// The rules of the house that a machine can check, here and in
// imports_test.go. Those that a linter knows are in .golangci.yml.

const maxFileLines = 400

// goFile is one Go file of the module.
type goFile struct {
	path string // from the root, with slashes
	dir  string // "." is the root
	test bool
	data []byte
	ast  *ast.File
	fset *token.FileSet
}

// files lists the files of the module whose names pass, with slashes: a folder
// with a go.mod is another one.
func files(t *testing.T, pass func(string) bool) []string {
	t.Helper()
	var out []string
	err := fs.WalkDir(os.DirFS("."), ".", func(p string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && p != "." && (d.Name() == ".git" || d.Name() == "bin" || d.Name() == "uplot"):
			return fs.SkipDir
		case d.IsDir() && p != "." && isModule(p):
			return fs.SkipDir
		case d.Type().IsRegular() && pass(p):
			out = append(out, p)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// goFiles parses all Go files, whatever their build tags.
func goFiles(t *testing.T) []*goFile {
	t.Helper()
	var out []*goFile
	for _, p := range files(t, func(p string) bool { return path.Ext(p) == ".go" }) {
		f := &goFile{path: p, dir: path.Dir(p), test: strings.HasSuffix(p, "_test.go"), fset: token.NewFileSet()}
		var err error
		if f.data, err = os.ReadFile(filepath.FromSlash(p)); err != nil {
			t.Fatal(err)
		}
		if f.ast, err = parser.ParseFile(f.fset, p, f.data, parser.ParseComments); err != nil {
			t.Fatal(err)
		}
		out = append(out, f)
	}
	return out
}

func isModule(dir string) bool {
	_, err := os.Stat(filepath.Join(filepath.FromSlash(dir), "go.mod"))
	return err == nil
}

func TestPackagesAreDocumented(t *testing.T) {
	comments, production := map[string][]string{}, map[string]bool{}
	all := goFiles(t)
	for _, f := range all {
		production[f.dir] = production[f.dir] || !f.test
	}
	for _, f := range all {
		if f.test && production[f.dir] {
			continue // its comment would be another package's
		}
		if f.ast.Doc != nil {
			comments[f.dir] = append(comments[f.dir], f.path)
		}
	}
	for dir := range production {
		if n := len(comments[dir]); n != 1 {
			t.Errorf("%s has %d package comments, want 1: %q", dir, n, comments[dir])
		}
	}
}

func TestExportedNamesAreDocumented(t *testing.T) {
	for _, f := range goFiles(t) {
		if f.test {
			continue
		}
		for _, decl := range f.ast.Decls {
			for _, bare := range undocumented(decl) {
				t.Errorf("%s: %s has no comment", f.fset.Position(bare.Pos()), bare.Name)
			}
		}
	}
}

// undocumented lists the exported names of a declaration without a comment.
// One comment is enough for a group of constants or variables.
func undocumented(decl ast.Decl) []*ast.Ident {
	var bare []*ast.Ident
	add := func(doc *ast.CommentGroup, names ...*ast.Ident) {
		for _, name := range names {
			if doc.Text() == "" && name.IsExported() {
				bare = append(bare, name)
			}
		}
	}
	switch d := decl.(type) {
	case *ast.FuncDecl:
		if d.Recv == nil || receiver(d).IsExported() {
			add(d.Doc, d.Name)
		}
	case *ast.GenDecl:
		for _, spec := range d.Specs {
			switch s := spec.(type) {
			case *ast.TypeSpec:
				add(firstOf(s.Doc, s.Comment, d.Doc), s.Name)
			case *ast.ValueSpec:
				add(firstOf(s.Doc, s.Comment, d.Doc), s.Names...)
			}
		}
	}
	return bare
}

func firstOf(groups ...*ast.CommentGroup) *ast.CommentGroup {
	for _, g := range groups {
		if g.Text() != "" {
			return g
		}
	}
	return nil
}

// receiver is the name of a method's type.
func receiver(d *ast.FuncDecl) *ast.Ident {
	for typ := d.Recv.List[0].Type; ; {
		switch x := typ.(type) {
		case *ast.Ident:
			return x
		case *ast.StarExpr:
			typ = x.X
		case *ast.IndexExpr:
			typ = x.X
		case *ast.IndexListExpr:
			typ = x.X
		default:
			panic(fmt.Sprintf("BUG: a receiver that is %T", typ))
		}
	}
}

func TestFilesAreShort(t *testing.T) {
	for _, f := range goFiles(t) {
		if n := bytes.Count(f.data, []byte("\n")); n > maxFileLines {
			t.Errorf("%s has %d lines, want at most %d: split it by its nouns", f.path, n, maxFileLines)
		}
	}
}

func TestNothingIsLeftToDo(t *testing.T) {
	words := []string{"TO" + "DO", "FIX" + "ME"}
	for _, p := range files(t, func(p string) bool { return path.Base(p) != "go.sum" }) {
		data, err := os.ReadFile(filepath.FromSlash(p))
		if err != nil {
			t.Fatal(err)
		}
		for _, word := range words {
			if i := bytes.Index(data, []byte(word)); i >= 0 {
				t.Errorf("%s:%d: %s", p, 1+bytes.Count(data[:i], []byte("\n")), word)
			}
		}
	}
}
