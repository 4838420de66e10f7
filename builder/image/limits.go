package image

// Bounds of images. Those of documents are what registries take; nothing that
// is read is trusted to keep them.
const (
	// MaxLayers is how many layers an image that terrine makes can have, those
	// of a base image included. docker's overlay2 refuses 126.
	MaxLayers = 125

	maxDocumentSize  = 4 << 20 // bytes of an index, a manifest or a config
	maxReadLayers    = 1000    // layers of an image that is read
	maxReadManifests = 1000    // manifests of an index that is read
	maxIndexDepth    = 3       // indexes in indexes
	maxCommentSize   = 2048    // bytes of a history entry's comment
)
