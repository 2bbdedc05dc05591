package filters

import "millrace/internal/pipeline"

// Known is how many containers a limit remembers.
func Known(f pipeline.Filter) (n int) {
	f.(*limiting).windows.Range(func(any, any) bool { n++; return true })
	return n
}

// Wrong is whether a format is.
func Wrong(k *Kong) bool {
	_, err := compile(k.Format, k.Escape)
	return err != nil
}
