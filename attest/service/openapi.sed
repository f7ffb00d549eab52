# JSON to a text of C: what its lines say, without what indents them.
s/^ *//
s/[\\"]/\\&/g
s/.*/"&"/
