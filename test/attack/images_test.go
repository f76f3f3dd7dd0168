package attack

import (
	"bytes"
	"fmt"
	"image"
	"image/color"
	"image/gif"
	"image/jpeg"
	"image/png"
	"io"
	"math/rand/v2"
	"testing"
)

// pictures are images as agents send them to models: what tools take of
// screens compresses a hundred times and more.
func pictures(t *testing.T) map[string][]byte {
	t.Helper()
	all := map[string][]byte{}
	draw := func(name string, w, h int, at func(x, y int) color.Color, enc func(io.Writer, image.Image) error) {
		m := image.NewRGBA(image.Rect(0, 0, w, h))
		for y := range h {
			for x := range w {
				m.Set(x, y, at(x, y))
			}
		}
		var b bytes.Buffer
		if err := enc(&b, m); err != nil {
			t.Fatal(err)
		}
		all[fmt.Sprintf("%s, %d×%d", name, w, h)] = b.Bytes()
	}
	flat := func(x, y int) color.Color { return color.RGBA{30, 30, 46, 255} }
	window := func(x, y int) color.Color {
		if y%18 < 11 && (x*7+y/18*13)%9 < 4 && x%640 < 400 {
			return color.RGBA{uint8(200 + x%40), 210, 230, 255}
		}
		return color.RGBA{30, 30, 46, 255}
	}
	gradient := func(x, y int) color.Color { return color.RGBA{uint8(x), uint8(y), uint8(x + y), 255} }
	r := rand.New(rand.NewPCG(1, 1))
	noise := func(x, y int) color.Color {
		v := r.Uint32()
		return color.RGBA{uint8(v), uint8(v >> 8), uint8(v >> 16), 255}
	}
	jpg := func(w io.Writer, m image.Image) error { return jpeg.Encode(w, m, nil) }
	draw("flat png", 320, 200, flat, png.Encode)
	draw("flat png", 1920, 1080, flat, png.Encode)
	draw("window png", 1280, 800, window, png.Encode)
	draw("window png", 1920, 1080, window, png.Encode)
	draw("window png", 2880, 1800, window, png.Encode)
	draw("gradient png", 1920, 1080, gradient, png.Encode)
	draw("photo png", 800, 600, noise, png.Encode)
	draw("photo png", 1200, 900, noise, png.Encode)
	draw("photo jpeg", 1600, 1200, noise, jpg)
	draw("window jpeg", 1920, 1080, window, jpg)
	draw("window gif", 1280, 800, window, func(w io.Writer, m image.Image) error { return gif.Encode(w, m, nil) })
	return all
}

func TestPicturesPass(t *testing.T) {
	if raceEnabled {
		t.Skip("drawing takes too long under the race detector")
	}
	g := newGate(t, "balanced")
	for name, b := range pictures(t) {
		m := models[0]
		body := `{"model":"m","messages":[{"role":"user","content":[{"type":"image","source":{"type":"base64","media_type":"image/png","data":"` + std64(string(b)) + `"}}]}]}`
		expect(t, name+" to "+m.name, quiet(t, g, m.send(m.url, body)))
		expect(t, name+" as it is", quiet(t, g, post("image/png", string(b))))
	}
}
