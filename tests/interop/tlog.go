// Verifies a log with the code of Go's checksum database: golang.org/x/mod/sumdb/note opens the checkpoint, and
// golang.org/x/mod/sumdb/tlog checks tiles, entry bundles, inclusion and consistency proofs and receipts. It shares no
// line with ours. Each check is done once more on bytes that were tampered with, and must fail there.
//
// It is no client: a log that answers slowly, or without end, makes it wait or die.
//
// Standard output: for each check a line of its name, a tab, and how often it was done. It ends with 0 only if every
// check held.
package main

import (
	"bytes"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"math/rand"
	"net/http"
	"os"
	"sort"
	"strconv"
	"strings"
	"time"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// C2SP tlog-tiles: every tile has height 8, and its path does not say so.
const tileHeight = 8

var client = http.Client{Timeout: 30 * time.Second}

func main() {
	address := flag.String("log", "", "the log's address")
	namespace := flag.String("namespace", "", "the namespace")
	policy := flag.String("policy", "", "a file with the tlog-policy: the keys of log and witnesses")
	quorum := flag.Int("quorum", 0, "how many witnesses must have cosigned")
	flag.Parse()
	log := &log{address: *address, namespace: *namespace}
	log.readPolicy(*policy)
	log.checkpoint(*quorum)
	log.bundles()
	log.tiles()
	log.inclusion()
	log.consistency()
	log.receipts()
}

// A log, and what is known about it so far.
type log struct {
	address, namespace string
	verifier           note.Verifier
	witnesses          []note.Verifier
	tree               tlog.Tree
	signed             []byte
	// The hash of each entry, and every hash of the tree over them in Go's order.
	leaves []tlog.Hash
	stored []tlog.Hash
}

func fail(format string, arguments ...interface{}) {
	fmt.Fprintf(os.Stderr, format+"\n", arguments...)
	os.Exit(1)
}

func must(err error, format string, arguments ...interface{}) {
	if err != nil {
		fail("%s: %v", fmt.Sprintf(format, arguments...), err)
	}
}

func done(check string, times int) {
	if times == 0 {
		fail("%s: there was nothing to check", check)
	}
	fmt.Printf("%s\t%d\n", check, times)
}

func (l *log) get(path string) []byte {
	response, err := client.Get(l.address + path)
	must(err, "%s", path)
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	must(err, "%s", path)
	if response.StatusCode != http.StatusOK {
		fail("%s: %s: %s", path, response.Status, body)
	}
	return body
}

// A cosignature of C2SP tlog-cosignature, type 0x04, which the note package leaves to its callers.
type cosigner struct {
	name string
	hash uint32
	key  ed25519.PublicKey
}

func (c *cosigner) Name() string    { return c.name }
func (c *cosigner) KeyHash() uint32 { return c.hash }
func (c *cosigner) Verify(message, signature []byte) bool {
	if len(signature) != 8+ed25519.SignatureSize {
		return false
	}
	time := binary.BigEndian.Uint64(signature)
	signed := fmt.Sprintf("cosignature/v1\ntime %d\n%s", time, message)
	return time > 0 && ed25519.Verify(c.key, []byte(signed), signature[8:])
}

func newCosigner(vkey string) note.Verifier {
	parts := strings.SplitN(vkey, "+", 3)
	if len(parts) != 3 {
		fail("%s is no verifier key", vkey)
	}
	hash, err := strconv.ParseUint(parts[1], 16, 32)
	must(err, "%s", vkey)
	key, err := base64.StdEncoding.DecodeString(parts[2])
	must(err, "%s", vkey)
	if len(key) != 1+ed25519.PublicKeySize || key[0] != 4 {
		fail("%s is no key of type 0x04", vkey)
	}
	return &cosigner{parts[0], uint32(hash), key[1:]}
}

func (l *log) readPolicy(path string) {
	text, err := os.ReadFile(path)
	must(err, "the policy")
	for _, line := range strings.Split(string(text), "\n") {
		words := strings.Fields(line)
		if len(words) >= 2 && words[0] == "log" {
			l.verifier, err = note.NewVerifier(words[1])
			must(err, "%s", words[1])
		} else if len(words) >= 3 && words[0] == "witness" {
			l.witnesses = append(l.witnesses, newCosigner(words[2]))
		}
	}
	if l.verifier == nil {
		fail("%s names no log", path)
	}
}

// Opens a checkpoint with the log's key and those of the witnesses, and says who cosigned.
func (l *log) open(signed []byte) (tlog.Tree, []string, error) {
	known := note.VerifierList(append([]note.Verifier{l.verifier}, l.witnesses...)...)
	opened, err := note.Open(signed, known)
	if err != nil {
		return tlog.Tree{}, nil, err
	}
	byLog, cosigned := false, []string{}
	for _, signature := range opened.Sigs {
		if signature.Name == l.verifier.Name() && signature.Hash == l.verifier.KeyHash() {
			byLog = true
		} else {
			cosigned = append(cosigned, signature.Name)
		}
	}
	if !byLog {
		return tlog.Tree{}, nil, fmt.Errorf("the log did not sign")
	}
	origin := l.verifier.Name() + "\n"
	if !strings.HasPrefix(opened.Text, origin) {
		return tlog.Tree{}, nil, fmt.Errorf("another origin: %s", opened.Text)
	}
	// But for its first line a checkpoint of C2SP is the tree of the checksum database.
	tree, err := tlog.ParseTree([]byte("go.sum database tree\n" + strings.TrimPrefix(opened.Text, origin)))
	return tree, cosigned, err
}

func (l *log) checkpoint(quorum int) {
	l.signed = l.get("/" + l.namespace + "/checkpoint")
	tree, cosigned, err := l.open(l.signed)
	must(err, "the checkpoint")
	if len(cosigned) < quorum {
		fail("%d witnesses cosigned, %d are needed", len(cosigned), quorum)
	}
	l.tree = tree
	done("checkpoint: the log's signature", 1)
	if quorum > 0 {
		done("checkpoint: cosignatures", len(cosigned))
	}

	refused := 0
	for _, at := range signedBytes(l.signed) {
		tampered := append([]byte{}, l.signed...)
		tampered[at] ^= 1
		// A cosignature under a key id that nobody knows is no error, and does not count.
		if _, fewer, err := l.open(tampered); err == nil && len(fewer) >= len(cosigned) {
			fail("a checkpoint with another byte at %d is taken", at)
		}
		refused++
	}
	done("checkpoint, one byte changed: refused", refused)
}

// Where the text stands, and every signature. Not the last four digits of one: Go ignores stray bits of base64.
func signedBytes(signed []byte) []int {
	places, at := []int{}, bytes.LastIndex(signed, []byte("\n\n"))
	for i := 0; i <= at; i++ {
		places = append(places, i)
	}
	for at += 2; at < len(signed); {
		end := at + bytes.IndexByte(signed[at:], '\n')
		for i := at + bytes.LastIndexByte(signed[at:end], ' ') + 1; i < end-4; i++ {
			places = append(places, i)
		}
		at = end + 1
	}
	return places
}

// Reads every entry from the entry bundles, and computes the root of them.
func (l *log) bundles() {
	count, bytesRead := 0, 0
	for first := int64(0); first < l.tree.N; first += 1 << tileHeight {
		width := int(l.tree.N - first)
		if width > 1<<tileHeight {
			width = 1 << tileHeight
		}
		tile := tlog.Tile{H: tileHeight, L: -1, N: first >> tileHeight, W: width}
		bundle := l.get(l.path(tile))
		count, bytesRead = count+1, bytesRead+len(bundle)
		for ; width > 0; width-- {
			if len(bundle) < 2 || len(bundle) < 2+int(binary.BigEndian.Uint16(bundle)) {
				fail("%s is too short", l.path(tile))
			}
			end := 2 + int(binary.BigEndian.Uint16(bundle))
			l.leaves = append(l.leaves, tlog.RecordHash(bundle[2:end]))
			bundle = bundle[end:]
		}
		if len(bundle) != 0 {
			fail("%s has more than its entries", l.path(tile))
		}
	}
	l.stored = store(l.leaves)
	if l.root(l.tree.N) != l.tree.Hash {
		fail("the entries do not lead to the root of the checkpoint")
	}
	done("entry bundles: recomputed to the root", count)
	done("entries: recomputed to the root", len(l.leaves))

	refused := 0
	for at := range l.leaves {
		// A tree of each entry alone would be quadratic: every seventh one, and the first and last.
		if at%7 != 0 && at != len(l.leaves)-1 {
			continue
		}
		tampered := append([]tlog.Hash{}, l.leaves...)
		tampered[at][0] ^= 1
		root, err := tlog.TreeHash(l.tree.N, reader(store(tampered)))
		must(err, "a tree")
		if root == l.tree.Hash {
			fail("another entry %d has the same root", at)
		}
		refused++
	}
	done("entries, one of them changed: another root", refused)
}

func store(leaves []tlog.Hash) []tlog.Hash {
	stored := []tlog.Hash{}
	for at, leaf := range leaves {
		more, err := tlog.StoredHashesForRecordHash(int64(at), leaf, reader(stored))
		must(err, "entry %d", at)
		stored = append(stored, more...)
	}
	return stored
}

func reader(stored []tlog.Hash) tlog.HashReader {
	return tlog.HashReaderFunc(func(indexes []int64) ([]tlog.Hash, error) {
		hashes := []tlog.Hash{}
		for _, index := range indexes {
			hashes = append(hashes, stored[index])
		}
		return hashes, nil
	})
}

// The root of the first entries, as they stand in the entry bundles.
func (l *log) root(size int64) tlog.Hash {
	root, err := tlog.TreeHash(size, reader(l.stored))
	must(err, "the root of size %d", size)
	return root
}

// Where a tile stands by C2SP tlog-tiles. The checksum database's paths name the height, and call bundles data.
func (l *log) path(tile tlog.Tile) string {
	path := strings.TrimPrefix(tile.Path(), fmt.Sprintf("tile/%d/", tileHeight))
	return "/" + l.namespace + "/tile/" + strings.Replace(path, "data/", "entries/", 1)
}

// The log's hash tiles, as the tlog package asks for them.
type tileReader struct {
	log    *log
	seen   map[string][]byte
	tamper string
}

func (r *tileReader) Height() int { return tileHeight }
func (r *tileReader) ReadTiles(tiles []tlog.Tile) ([][]byte, error) {
	data := [][]byte{}
	for _, tile := range tiles {
		path := r.log.path(tile)
		if r.seen[path] == nil {
			r.seen[path] = r.log.get(path)
		}
		bytes := append([]byte{}, r.seen[path]...)
		if path == r.tamper {
			bytes[len(bytes)/2] ^= 1
		}
		data = append(data, bytes)
	}
	return data, nil
}

// Tiles were authenticated against the checkpoint's root when this is called.
func (r *tileReader) SaveTiles(tiles []tlog.Tile, data [][]byte) {}

// Proves every entry from hash tiles alone.
func (l *log) tiles() {
	tiles := &tileReader{log: l, seen: map[string][]byte{}}
	hashes := tlog.TileHashReader(l.tree, tiles)
	for at, leaf := range l.leaves {
		proof, err := tlog.ProveRecord(l.tree.N, int64(at), hashes)
		must(err, "a proof of entry %d from tiles", at)
		must(tlog.CheckRecord(proof, l.tree.N, l.tree.Hash, int64(at), leaf), "entry %d from tiles", at)
	}
	done("hash tiles: authenticated by the root", len(tiles.seen))
	done("hash tiles: every entry proved from them", len(l.leaves))
	refused := 0
	for path := range tiles.seen {
		tampered := tlog.TileHashReader(l.tree, &tileReader{log: l, seen: tiles.seen, tamper: path})
		failed := false
		for at, leaf := range l.leaves {
			proof, err := tlog.ProveRecord(l.tree.N, int64(at), tampered)
			// Version 0.7.0 does not authenticate every tile that it reads: it begins with as many tiles as the root is
			// made of hashes, though some of these are in one tile. What it proves from them is checked here.
			if err != nil || tlog.CheckRecord(proof, l.tree.N, l.tree.Hash, int64(at), leaf) != nil {
				failed = true
				break
			}
		}
		if !failed {
			fail("%s with another byte is taken", path)
		}
		refused++
	}
	done("hash tiles, one byte changed: refused", refused)
}

// Sizes where trees change their form, and some others.
func (l *log) sizes() []int64 {
	chosen := map[int64]bool{l.tree.N: true}
	for _, size := range []int64{1, 2, 3, 4, 5, 7, 8, 100, 255, 256, 257, 300, 511, 512, 513, 640, l.tree.N - 1} {
		if size >= 1 && size <= l.tree.N {
			chosen[size] = true
		}
	}
	random := rand.New(rand.NewSource(1))
	for i := 0; i < 12; i++ {
		chosen[1+random.Int63n(l.tree.N)] = true
	}
	sizes := []int64{}
	for size := range chosen {
		sizes = append(sizes, size)
	}
	sort.Slice(sizes, func(a, b int) bool { return sizes[a] < sizes[b] })
	return sizes
}

// Every entry under the published size, and under the smaller sizes that have it near their edge.
func (l *log) inclusion() {
	proved, refused := 0, 0
	check := func(at, size int64) {
		var answer struct {
			Path []tlog.Hash `json:"path"`
		}
		query := fmt.Sprintf("/v1/%s/proofs/inclusion?index=%d&size=%d", l.namespace, at, size)
		must(json.Unmarshal(l.get(query), &answer), "%s", query)
		root, proof, leaf := l.root(size), tlog.RecordProof(answer.Path), l.leaves[at]
		must(tlog.CheckRecord(proof, size, root, at, leaf), "%s", query)
		proved++
		refused += refuses(query, answer.Path, root, leaf, func(path []tlog.Hash, root, leaf tlog.Hash) error {
			return tlog.CheckRecord(tlog.RecordProof(path), size, root, at, leaf)
		})
	}
	for at := range l.leaves {
		check(int64(at), l.tree.N)
	}
	for _, size := range l.sizes() {
		check(0, size)
		check(size/2, size)
		check(size-1, size)
	}
	done("inclusion proofs", proved)
	done("inclusion proofs, one hash, root or leaf changed: refused", refused)
}

// Every pair of the chosen sizes.
func (l *log) consistency() {
	proved, refused := 0, 0
	for _, from := range l.sizes() {
		for _, to := range l.sizes() {
			if from > to {
				continue
			}
			var answer struct {
				Proof []tlog.Hash `json:"proof"`
			}
			query := fmt.Sprintf("/v1/%s/proofs/consistency?from=%d&to=%d", l.namespace, from, to)
			must(json.Unmarshal(l.get(query), &answer), "%s", query)
			old, root := l.root(from), l.root(to)
			must(tlog.CheckTree(tlog.TreeProof(answer.Proof), to, root, from, old), "%s", query)
			proved++
			refused += refuses(query, answer.Proof, root, old, func(proof []tlog.Hash, root, old tlog.Hash) error {
				return tlog.CheckTree(tlog.TreeProof(proof), to, root, from, old)
			})
		}
	}
	done("consistency proofs", proved)
	done("consistency proofs, one hash or root changed: refused", refused)
}

// Changes each hash of a proof and both ends of it, one at a time; nothing of it may be taken.
func refuses(what string, path []tlog.Hash, root, begin tlog.Hash, check func([]tlog.Hash, tlog.Hash, tlog.Hash) error) int {
	for at := range path {
		tampered := append([]tlog.Hash{}, path...)
		tampered[at][at%tlog.HashSize] ^= 0x80
		if check(tampered, root, begin) == nil {
			fail("%s: taken with another hash %d", what, at)
		}
	}
	if check(append(append([]tlog.Hash{}, path...), root), root, begin) == nil {
		fail("%s: taken with one hash more", what)
	}
	root[0] ^= 1
	if check(path, root, begin) == nil {
		fail("%s: taken under another root", what)
	}
	root[0] ^= 1
	begin[31] ^= 1
	if check(path, root, begin) == nil {
		fail("%s: taken for another leaf or older root", what)
	}
	return len(path) + 3
}

// C2SP tlog-proof: index, path and checkpoint in one text.
func (l *log) receipts() {
	verified := 0
	for at, leaf := range l.leaves {
		// All of a small log, every eleventh of a large one.
		if len(l.leaves) > 64 && at%11 != 0 {
			continue
		}
		text := string(l.get(fmt.Sprintf("/v1/%s/receipts/%d", l.namespace, at)))
		halves := strings.SplitN(text, "\n\n", 2)
		lines := strings.Split(halves[0], "\n")
		if len(halves) != 2 || len(lines) < 2 || lines[0] != "c2sp.org/tlog-proof@v1" || lines[1] != fmt.Sprintf("index %d", at) {
			fail("receipt %d: %s", at, text)
		}
		path := tlog.RecordProof{}
		for _, line := range lines[2:] {
			hash, err := tlog.ParseHash(line)
			must(err, "receipt %d", at)
			path = append(path, hash)
		}
		tree, _, err := l.open([]byte(halves[1]))
		must(err, "receipt %d", at)
		must(tlog.CheckRecord(path, tree.N, tree.Hash, int64(at), leaf), "receipt %d", at)
		verified++
	}
	done("receipts (tlog-proof)", verified)
}
