package image

// Bounds of images. Those of documents are what registries take; nothing that
// is read is trusted to keep them.
const (
	// MaxLayers is how many layers an image that terrine makes can have, those
	// of a base image included. docker's overlay2 refuses 126.
	MaxLayers = 125

	maxDocumentSize = 4 << 20 // bytes of an index, a manifest or a config
	maxJSONDepth    = 32      // levels of nesting in a document
	maxReadLayers   = 1000    // layers of an image that is read
	maxManifests    = 1000    // manifests of all indexes that are read
	maxIndexDepth   = 4       // indexes in indexes
	maxCommentSize  = 2048    // bytes of a history entry's comment
)
