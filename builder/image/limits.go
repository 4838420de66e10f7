package image

// Bounds of images.
const (
	// MaxLayers is how many layers an image that terrine makes can have, those
	// of a base image included. docker's overlay2 refuses 126.
	MaxLayers = 125

	maxDocumentSize = 4 << 20 // bytes of an index, a manifest or a config: what registries take
	maxCommentSize  = 2048    // bytes of a history entry's comment
)
