package deflate

import (
	"math"
	"testing"
)

// TestMantissaLogs: the table is made with integers, and right on every processor.
func TestMantissaLogs(t *testing.T) {
	for i, got := range mantissaLogs {
		want := math.Log2(1+float64(i)/256) * (1 << logBits)
		if math.Abs(float64(got)-want) > 1 {
			t.Errorf("of 1 + %d/256: %d, want %.1f", i, got, want)
		}
	}
}
