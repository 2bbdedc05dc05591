package filters

import "strconv"

// codeEnd is the length of the $status that p begins with: three digits.
func codeEnd(p []byte) int {
	if len(p) < 3 || !isDigit(p[0]) || !isDigit(p[1]) || !isDigit(p[2]) {
		return -1
	}
	return 3
}

// withoutZeros takes leading zeros off a whole number: JSON has none.
func withoutZeros(p []byte) []byte {
	for len(p) > 1 && p[0] == '0' {
		p = p[1:]
	}
	return p
}

func isDigit(c byte) bool { return c-'0' <= 9 }

// The most digits of a time in seconds: a sum of many of them fits 64 bits in
// units of the last decimal.
const mostSeconds, mostDecimals = 8, 9

// secondsEnd is the length of the time in seconds that p begins with, as nginx
// writes it and JSON has it: 0.120. It may be a - instead. Anything else is -1.
func secondsEnd(p []byte) int {
	i := digits(p)
	switch {
	case i == 0:
		if begins(p, "-") {
			return 1
		}
		return -1
	case i > mostSeconds || i > 1 && p[0] == '0':
		return -1
	case i == len(p) || p[i] != '.':
		return i
	}
	n := digits(p[i+1:])
	if n == 0 || n > mostDecimals {
		return -1
	}
	return i + 1 + n
}

func digits(p []byte) (n int) {
	for n < len(p) && isDigit(p[n]) {
		n++
	}
	return n
}

// mostTries is how many times a list may hold, so that their sum fits.
const mostTries = 64

// timesEnd is the length of the $upstream_response_time that p begins with:
// times, with ", " or " : " between them.
func timesEnd(p []byte) int {
	end := 0
	for range mostTries {
		n := secondsEnd(p[end:])
		if n < 0 {
			return -1
		}
		end += n
		switch {
		case begins(p[end:], ", "):
			end += 2
		case begins(p[end:], " : "):
			end += 3
		default:
			return end
		}
	}
	return -1
}

// cutTry takes the first time off a list that timesEnd accepted; rest is nil behind the last one.
func cutTry(p []byte) (try, rest []byte) {
	i := 0
	for i < len(p) && p[i] != ',' && p[i] != ' ' {
		i++
	}
	switch {
	case i == len(p):
		return p, nil
	case begins(p[i:], ", "):
		return p[:i], p[i+2:]
	default:
		return p[:i], p[i+3:]
	}
}

// appendSum appends the sum of a list that timesEnd accepted, with as many
// decimals as its longest number, or null if there is none in it.
func appendSum(dst, p []byte) []byte {
	var sum int64 // in units of the last of mostDecimals
	decimals, null := 0, true
	for p != nil {
		var try []byte
		if try, p = cutTry(p); string(try) == "-" {
			continue
		}
		null = false
		whole := digits(try)
		n := int64(0)
		for i := range whole + 1 + mostDecimals {
			switch {
			case i == whole:
			case i < len(try):
				n = n*10 + int64(try[i]-'0')
			default:
				n *= 10
			}
		}
		sum += n
		decimals = max(decimals, len(try)-whole-1)
	}
	if null {
		return append(dst, "null"...)
	}
	const unit = 1e9
	dst = strconv.AppendInt(dst, sum/unit, 10)
	if decimals > 0 {
		end := len(dst)
		dst = strconv.AppendInt(dst, unit+sum%unit, 10) // a one before the decimals keeps their zeros
		dst[end] = '.'
		dst = dst[:end+1+decimals]
	}
	return dst
}
