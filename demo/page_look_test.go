package main

import (
	"regexp"
	"slices"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// Nothing is wider than the window, nothing is cut, and each chart is drawn.
func testLayout(b *tab) {
	b.until(`document.querySelectorAll('[data-ledger] tbody tr').length > 0 && document.querySelectorAll('#newest tr').length > 0 && document.querySelector('#flow canvas')`)
	faults := eval[[]string](b, `(() => {
		const out = [], width = document.documentElement.clientWidth;
		if (document.scrollingElement.scrollWidth > width) out.push('the page is ' + document.scrollingElement.scrollWidth + ' wide');
		for (const e of document.querySelectorAll('body *')) {
			if (!e.checkVisibility() || e.closest('.scroll, .unseen, .skip, legend, .u-over, .canvas')) continue;
			const r = e.getBoundingClientRect(), name = e.tagName + '.' + e.className + ' ' + e.textContent.slice(0, 40);
			if (r.right > width + .5 || r.left < -.5) out.push(name + ' reaches from ' + r.left + ' to ' + r.right);
			if (e.scrollWidth > e.clientWidth + 1 && getComputedStyle(e).display !== 'inline') out.push(name + ' is cut at ' + e.clientWidth + ' of ' + e.scrollWidth);
		}
		return out;
	})()`)
	for _, f := range faults {
		b.t.Error(f)
	}
	drawn := eval[map[string]int](b, `Object.fromEntries([...document.querySelectorAll('.plot')].map(p => {
		const c = p.querySelector('canvas'), copy = new OffscreenCanvas(c.width, c.height).getContext('2d', {willReadFrequently: true});
		copy.drawImage(c, 0, 0);
		const pixels = copy.getImageData(0, 0, c.width, c.height).data;
		let n = 0;
		for (let i = 0; i < pixels.length; i += 4) if (pixels[i + 3] > 128 && Math.max(pixels[i], pixels[i + 1], pixels[i + 2]) - Math.min(pixels[i], pixels[i + 1], pixels[i + 2]) > 40) n++;
		return [p.closest('.chart').id, Math.abs(c.getBoundingClientRect().width - p.clientWidth) < 2 ? n : -1];
	}))`)
	for _, id := range []string{"requests", "error_rate", "response_time", "by_status", "flow"} {
		if drawn[id] < 100 && !(id == "flow" && drawn[id] >= 0) {
			b.t.Errorf("%s: %d coloured points are drawn", id, drawn[id])
		}
	}
	for _, id := range []string{"projects", "slowest", "errors"} {
		widths := eval[[]float64](b, `[...document.querySelectorAll('#`+id+` .track i')].map(e => e.getBoundingClientRect().width)`)
		if len(widths) < 6 || slices.Min(widths) <= 0 || slices.MaxFunc(widths, func(a, b float64) int { return int(a - b) }) != widths[0] {
			b.t.Errorf("bars of %s: %v", id, widths)
		}
	}
}

// Every text stands out from what is behind it as WCAG 2.2 asks for (1.4.3).
func testContrast(b *tab) {
	faults := eval[[]string](b, `(() => {
		const parse = s => { const m = s.match(/[\d.]+/g).map(Number); return m.length < 4 ? [...m, 1] : m; };
		const light = c => { const [r, g, b] = c.map(x => x / 255).map(x => x <= .04045 ? x / 12.92 : ((x + .055) / 1.055) ** 2.4); return .2126 * r + .7152 * g + .0722 * b; };
		const behind = e => { for (; e; e = e.parentElement) { const c = parse(getComputedStyle(e).backgroundColor); if (c[3] === 1) return c; if (c[3] > 0) throw new Error('half transparent ' + e.className); } return [255, 255, 255, 1]; };
		const out = new Set(), walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
		let n = 0;
		while (walk.nextNode()) {
			const e = walk.currentNode.parentElement;
			if (!walk.currentNode.data.trim() || !e.checkVisibility() || ['SCRIPT', 'STYLE'].includes(e.tagName)) continue;
			const s = getComputedStyle(e), a = light(parse(s.color)), z = light(behind(e)), ratio = (Math.max(a, z) + .05) / (Math.min(a, z) + .05);
			n++;
			if (ratio < 4.5) out.add(e.tagName + '.' + e.className + ' ' + walk.currentNode.data.trim().slice(0, 30) + ': ' + ratio.toFixed(2));
		}
		if (n < 200) out.add('only ' + n + ' texts were seen');
		return [...out];
	})()`)
	for _, f := range faults {
		b.t.Error(f)
	}
}

// Who does not see the page is told what each control does and what each
// chart shows.
func testNames(b *tab) {
	count := map[string]int{}
	for _, n := range b.named() {
		switch n.role {
		case "button", "radio", "link", "DisclosureTriangle", "table", "heading":
			count[n.role]++
			if n.name == "" && n.role != "table" {
				b.t.Errorf("a %s has no name", n.role)
			}
		case "image", "img", "graphics-document":
			if n.name == "" {
				continue // an ornament
			}
			count["image"]++
			if !regexp.MustCompile(`\d`).MatchString(n.name) {
				b.t.Errorf("the picture %q says no figure", n.name)
			}
		}
	}
	if count["image"] != 5 || count["radio"] != 5 || count["button"] < 6 || count["heading"] < 15 {
		b.t.Errorf("it tells of %v", count)
	}
}

// Tab reaches every control, in the order of the page, and one sees where it
// is.
func testKeyboard(b *tab) {
	want := eval[[]string](b, `(() => {
		window.nameOf = e => e.getAttribute('aria-label') || (e.name === 'range' ? 'range' : e.textContent.trim().replace(/\s+/g, ' '));
		return [...document.querySelectorAll('a[href], button, input:checked, summary, [tabindex="0"]')].filter(e => e.checkVisibility()).map(nameOf);
	})()`)
	if len(want) < 12 {
		b.t.Fatalf("the only controls are %q", want)
	}
	eval[bool](b, `(() => { const e = document.body; e.tabIndex = -1; e.focus(); e.removeAttribute('tabindex'); scrollTo(0, 0); return true; })()`)
	var got []string
	for range len(want) + 8 {
		b.do(chromedp.KeyEvent(kb.Tab))
		at := eval[struct {
			Name              string
			Visible, Scroller bool // what scrolls can be reached, too
		}](b, `(() => {
			const e = document.activeElement, mark = e.name === 'range' ? e.nextElementSibling : e, s = getComputedStyle(mark), r = mark.getBoundingClientRect();
			return {Name: e === document.body ? '' : nameOf(e), Scroller: e.matches('.scroll:not([tabindex])'), Visible: s.outlineStyle !== 'none' && parseFloat(s.outlineWidth) > 0 && r.width > 0 && r.top >= 0 && r.bottom <= innerHeight + 1};
		})()`)
		if at.Name == "" {
			break
		}
		if !at.Visible {
			b.t.Errorf("nobody sees that %q has the focus", at.Name)
		}
		if !at.Scroller {
			got = append(got, at.Name)
		}
	}
	if !slices.Equal(got, want) {
		b.t.Errorf("Tab reaches\n%q, the page has\n%q", got, want)
	}
	eval[bool](b, `document.querySelector('input[name=range]:checked').focus() || true`)
	b.do(chromedp.KeyEvent(kb.ArrowRight))
	b.until(`document.querySelector('#dashboard').dataset.range === document.querySelector('input[name=range]:checked').value`)
	b.do(chromedp.KeyEvent(kb.ArrowLeft))
	b.until(`document.querySelector('#dashboard').dataset.range === document.querySelector('input[name=range]:checked').value`)
	eval[bool](b, `document.querySelector('#requests summary').focus() || true`)
	b.do(chromedp.KeyEvent(kb.Enter))
	b.until(`document.querySelector('#requests details').open && document.querySelector('#requests details table').checkVisibility()`)
	b.do(chromedp.KeyEvent(kb.Enter))
}
