package layering

// NewListing returns the graph of an image of which no references are known,
// for Learn: there a path with another hash and the same version was carried
// along. References of nodes are not looked at. Errors are those of NewGraph.
func NewListing(nodes []Node) (*Graph, error) {
	bare := make([]Node, len(nodes))
	for i, n := range nodes {
		bare[i] = Node{Path: n.Path, Size: n.Size}
	}
	g, err := NewGraph(bare)
	if err == nil {
		g.listing = true
	}
	return g, err
}
