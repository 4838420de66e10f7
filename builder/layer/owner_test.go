package layer

import (
	"strings"
	"testing"

	"terrine/store/fault"
)

func TestOwnersThatATarCarries(t *testing.T) {
	beyond := maxOwnerID
	beyond++
	for what, o := range map[string]*Owner{
		"a negative uid": {UID: -1},
		"a negative gid": {GID: -1},
		"a large uid":    {UID: beyond},
		"a large gid":    {GID: beyond},
		"a long uname":   {Uname: strings.Repeat("u", 256)},
		"a long gname":   {Gname: strings.Repeat("g", 256)},
		"a colon":        {Uname: "a:b"},
		"a newline":      {Gname: "a\nb"},
	} {
		if err := o.Check(); fault.CodeOf(err) != fault.Refused {
			t.Errorf("%s: Check returns %v", what, err)
		}
	}
	for _, o := range []*Owner{{}, {UID: maxOwnerID, GID: maxOwnerID, Uname: strings.Repeat("u", 255), Gname: "x"}} {
		if err := o.Check(); err != nil {
			t.Errorf("Check of %+v returns %v", o, err)
		}
	}
}
