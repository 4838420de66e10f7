package lab

// Image is what `build --json` and `probe --json` say of an image.
type Image struct {
	Digest  string  `json:"digest"`
	ImageID string  `json:"imageID"`
	Layers  []Layer `json:"layers"`
	Misses  []struct {
		Layer int      `json:"layer"`
		Why   string   `json:"why"`
		Size  int64    `json:"size"`
		Paths []string `json:"paths"`
	} `json:"misses"` // of probe
	Damaged []struct {
		Layer int    `json:"layer"`
		Path  string `json:"path"`
		Size  int64  `json:"size"`
		What  string `json:"what"`
		Why   string `json:"why"`
	} `json:"damaged"` // of probe
}

// Layer is a layer of an Image. Sizes are of blobs, in bytes.
type Layer struct {
	DiffID    string   `json:"diffID"`
	Digest    string   `json:"digest"`
	Size      int64    `json:"size"`
	MediaType string   `json:"mediaType"`
	Paths     []string `json:"paths"`
}
