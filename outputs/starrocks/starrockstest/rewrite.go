package starrockstest

import (
	"strings"
)

// edit replaces the text between two places of a statement.
type edit struct {
	from, to int
	text     string
}

// rewrite turns StarRocks' SQL into the query engine's where their grammars
// differ. What it does not know stays as it is.
func rewrite(sql string) string {
	tokens, err := lex(sql)
	if err != nil {
		return sql // the engine's parser words the error
	}
	var edits []edit
	for i, t := range tokens {
		next := tokens[min(i+1, len(tokens)-1)]
		switch {
		case t.isName() && t.text == defaultCatalog && next.is("."):
			edits = append(edits, edit{t.from, next.to, ""})
		case (t.is("regexp") || t.is("rlike")) && next.is("(") && !isInfix(tokens, i):
			edits = append(edits, edit{t.from, t.to, "REGEXP_LIKE"})
		case t.is("time_slice") && next.is("("):
			edits = append(edits, sliceEdits(tokens, i)...)
		case t.is("as"):
			if e, ok := castEdit(tokens, i); ok {
				edits = append(edits, e)
			}
		}
	}
	var out strings.Builder
	at := 0
	for _, e := range edits {
		out.WriteString(sql[at:e.from])
		out.WriteString(e.text)
		at = e.to
	}
	out.WriteString(sql[at:])
	return out.String()
}

// isInfix tells `x [NOT] REGEXP (..)` from the function form.
func isInfix(tokens []token, i int) bool {
	if i > 0 && tokens[i-1].is("not") {
		i--
	}
	if i == 0 {
		return false
	}
	switch t := tokens[i-1]; {
	case t.kind == tokenWord:
		switch strings.ToLower(t.text) {
		case "where", "and", "or", "not", "select", "when", "then", "else", "on", "having", "case", "if", "distinct", "by", "xor":
			return false
		}
		return true
	case t.kind == tokenSymbol:
		return t.text == ")"
	}
	return true
}

// castTypes maps the type names of CAST that the engine's parser lacks.
var castTypes = map[string]string{
	"tinyint": "SIGNED", "smallint": "SIGNED", "int": "SIGNED", "integer": "SIGNED", "bigint": "SIGNED",
	"largeint": "SIGNED", "boolean": "SIGNED", "string": "CHAR", "varchar": "CHAR", "text": "CHAR",
}

// castEdit rewrites `AS type)` and `AS type(n))`.
func castEdit(tokens []token, i int) (edit, bool) {
	if i+2 >= len(tokens) || tokens[i+1].kind != tokenWord {
		return edit{}, false
	}
	typ := tokens[i+1]
	to, known := castTypes[strings.ToLower(typ.text)]
	if !known {
		return edit{}, false
	}
	end := i + 2
	if tokens[end].is("(") && end+2 < len(tokens) && tokens[end+2].is(")") {
		end += 3
	}
	if end >= len(tokens) || !tokens[end].is(")") {
		return edit{}, false
	}
	return edit{typ.from, tokens[end-1].to, to}, true
}

// firstStatement cuts a text at its first semicolon; rest is "" when nothing
// but blanks and semicolons follows.
func firstStatement(sql string) (first, rest string) {
	tokens, err := lex(sql)
	if err != nil {
		return sql, ""
	}
	for i, t := range tokens {
		if !t.is(";") || t.kind != tokenSymbol {
			continue
		}
		if i == 0 {
			return firstStatement(sql[t.to:])
		}
		rest = sql[t.to:]
		if strings.Trim(rest, "; \t\r\n") == "" {
			rest = ""
		}
		return sql[:t.from], rest
	}
	return sql, ""
}
