package starrockstest

import (
	"fmt"
	"strings"
)

type tokenKind uint8

const (
	tokenEnd    tokenKind = iota
	tokenWord             // bare identifier or keyword
	tokenQuoted           // `identifier`
	tokenString           // 'text' or "text"
	tokenNumber
	tokenSymbol // one operator or punctuation mark; "->" and two-byte comparisons are one token
)

// token is one lexical unit of SQL; text is unquoted for quoted
// identifiers and strings, from and to delimit it in the source.
type token struct {
	kind     tokenKind
	text     string
	from, to int
}

// is reports whether the token is the given keyword or symbol.
func (t token) is(text string) bool {
	return (t.kind == tokenWord || t.kind == tokenSymbol) && strings.EqualFold(t.text, text)
}

func (t token) isName() bool { return t.kind == tokenWord || t.kind == tokenQuoted }

// lex splits SQL into tokens, the last one being tokenEnd. Comments are
// dropped.
func lex(sql string) ([]token, error) {
	var tokens []token
	for i := 0; ; {
		i = skipBlank(sql, i)
		if i >= len(sql) {
			return append(tokens, token{kind: tokenEnd, from: len(sql), to: len(sql)}), nil
		}
		t, err := lexOne(sql, i)
		if err != nil {
			return nil, err
		}
		tokens = append(tokens, t)
		i = t.to
	}
}

func skipBlank(sql string, i int) int {
	for i < len(sql) {
		switch {
		case sql[i] == ' ' || sql[i] == '\t' || sql[i] == '\n' || sql[i] == '\r':
			i++
		case sql[i] == '#' || strings.HasPrefix(sql[i:], "-- ") || strings.HasPrefix(sql[i:], "--\n"):
			end := strings.IndexByte(sql[i:], '\n')
			if end < 0 {
				return len(sql)
			}
			i += end + 1
		case strings.HasPrefix(sql[i:], "/*"):
			end := strings.Index(sql[i+2:], "*/")
			if end < 0 {
				return len(sql)
			}
			i += end + 4
		default:
			return i
		}
	}
	return i
}

func lexOne(sql string, i int) (token, error) {
	c := sql[i]
	switch {
	case c == '`' || c == '\'' || c == '"':
		return lexQuoted(sql, i)
	case c >= '0' && c <= '9':
		j := i
		for j < len(sql) && (isWordByte(sql[j]) || sql[j] == '.') {
			j++
		}
		return token{tokenNumber, sql[i:j], i, j}, nil
	case isWordByte(c) || c == '@':
		j := i
		for j < len(sql) && (isWordByte(sql[j]) || sql[j] == '@') {
			j++
		}
		return token{tokenWord, sql[i:j], i, j}, nil
	}
	for _, two := range [...]string{"->", "<=", ">=", "<>", "!=", "||", "&&"} {
		if strings.HasPrefix(sql[i:], two) {
			return token{tokenSymbol, two, i, i + 2}, nil
		}
	}
	return token{tokenSymbol, sql[i : i+1], i, i + 1}, nil
}

func isWordByte(c byte) bool {
	return c == '_' || c == '$' || c >= 0x80 || c >= '0' && c <= '9' || c|0x20 >= 'a' && c|0x20 <= 'z'
}

func lexQuoted(sql string, i int) (token, error) {
	quote := sql[i]
	kind := tokenString
	if quote == '`' {
		kind = tokenQuoted
	}
	var text strings.Builder
	for j := i + 1; j < len(sql); j++ {
		c := sql[j]
		switch {
		case c == quote && j+1 < len(sql) && sql[j+1] == quote:
			text.WriteByte(quote)
			j++
		case c == quote:
			return token{kind, text.String(), i, j + 1}, nil
		case c == '\\' && kind == tokenString && j+1 < len(sql):
			j++
			text.WriteString(unescapeSQL(sql[j]))
		default:
			text.WriteByte(c)
		}
	}
	return token{}, fmt.Errorf("parse SQL: a %c at byte %d is never closed", quote, i)
}

// unescapeSQL gives what a backslash and c stand for in a string literal.
// \% and \_ keep their backslash, which LIKE needs.
func unescapeSQL(c byte) string {
	switch c {
	case 'n':
		return "\n"
	case 't':
		return "\t"
	case 'r':
		return "\r"
	case '0':
		return "\x00"
	case '%', '_':
		return `\` + string(rune(c))
	}
	return string([]byte{c})
}

// quoteName writes s as a backquoted identifier.
func quoteName(s string) string { return "`" + strings.ReplaceAll(s, "`", "``") + "`" }
