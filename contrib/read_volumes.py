#!/usr/bin/env python3
"""Lists, verifies and extracts what is in Moraine volumes, as docs/formats.md describes them. Nothing but Python 3.8 is needed.
usage: read_volumes.py list DIRECTORY                         every record, one a line
       read_volumes.py verify DIRECTORY                       reads and checks every byte; names what is damaged
       read_volumes.py extract DIRECTORY PLACE|ARCHIVE FILE   one payload, or an archive of any kind ("-": standard output)
       read_volumes.py extract-all DIRECTORY OUTDIR           every archive, each into a file that has its id for a name
A place is the first column of the list. While a server runs, read a copy. Exit codes: 0 all is well, 1 something is damaged, 2 usage.
"""
import collections, datetime, functools, glob, hashlib, json, os, re, struct, sys, zlib

MIB, KINDS = 1 << 20, {1: "payload", 2: "manifest", 3: "tombstone"}  # in shared volumes also 4, removal, and 5, index
Record = collections.namedtuple("Record", "place volume offset kind created label size at hashes end")


def need(true, why):
    if not true:
        raise ValueError(why)


def caught(wrong, where, do, *args):
    try:
        return do(*args)
    except (ValueError, LookupError, TypeError, AttributeError, OverflowError, OSError, struct.error) as e:
        wrong.append("%s: %s" % (where, e))


def sha256(*parts):
    return hashlib.sha256(b"".join(parts)).digest()


def fold(nodes):
    """Returns the tree hash of nodes of one height: pairs are joined, one without a partner goes up."""
    while len(nodes) > 1:
        nodes = [sha256(*nodes[i : i + 2]) if i + 1 < len(nodes) else nodes[i] for i in range(0, len(nodes), 2)]
    return nodes[0] if nodes else sha256()


def sealed(header, magic):
    return len(header) == 64 and header.startswith(magic) and zlib.crc32(header[:60]) == int.from_bytes(header[60:], "little")


@functools.lru_cache(8)
class Volume:
    def __init__(self, path):
        self.name, self.shared = os.path.basename(path)[:-4], os.path.basename(os.path.dirname(path)) == "shared"
        self.file, self.size, self.start, self.window = open(path, "rb", 0), os.path.getsize(path), 0, bytearray()
        self.id, header, known = bytes.fromhex(self.name), self.read(0, 64), struct.pack("<II", 1 + self.shared, 64)
        self.sound = sealed(header, b"MORAINEV") and header[16:32] == self.id
        need(header[8:16] == known or not self.sound, "unknown format of a volume: %d" % int.from_bytes(header[8:12], "little"))

    def read(self, at, n):
        """Returns n bytes, less at the end of the file. A shared volume is read ahead. What cannot be read is 0xff."""
        if not self.start <= at <= self.start + len(self.window) - n:
            self.start, self.window, wanted = at, bytearray(), min(max(n, 2 * MIB if self.shared else 0), self.size - at)
            while len(self.window) < wanted:
                here = self.file.seek(at + len(self.window))
                self.window += caught([], "", self.file.read, wanted - len(self.window)) or b"\xff" * (512 - here % 512)
        return self.window[at - self.start : at - self.start + n]

    def record(self, offset):  # reads it without its payload, and checks all of it but the payload
        need(self.shared or self.sound and offset == 64, "the volume header is damaged or was never written")
        header = self.read(offset, 64)
        need(sealed(header, b"MREC"), "the record header is damaged or was never written")
        kind, length, number, size, created, identity = struct.unpack("<4xB3xIIQq16s16x", header)
        limits = 1 <= kind <= (5 if self.shared else 3) and length <= 1 << 16 and size <= 1 << 50
        need(limits and not any(header[5:8] + header[56:60]) and (self.shared or number == 0), "the record header has impossible values")
        at, trailer = offset + 64 + length, 32 * -(-size // MIB) + 88
        need(at + size + trailer <= self.size, "the record is cut off")
        label, tail = self.read(offset + 64, length), self.read(at + size, trailer)
        digest = sha256(self.id + struct.pack("<Q", offset) if self.shared else b"", header, label, tail[:-56])
        need(tail[-56:] == digest + identity + b"MRECEND\n", "the trailer is damaged or was never written")
        place, end = "%s:%d" % (self.name, offset), (at + size + trailer + 7) & -8
        return Record(place, self, offset, kind, created, label, size, at, tail[:-56], end)

    def scan(self):
        """Gives the records of a shared volume, and (offset, end) of what is neither a record nor the closing block behind an index."""
        yield from [] if self.sound else [(0, 64)]
        at, gap, index_end = 64, None, None
        while at < self.size:
            r = caught([], "", self.record, at)
            if r or at == index_end and sealed(self.read(at, 64), b"MORAINEE"):
                yield from ([(gap, at)] if gap else []) + ([r] if r else [])
                at, gap, index_end = r.end if r else at + 64, None, r.end if r and r.kind == 5 else None
            else:  # on to the next multiple of 8 where a record may begin
                found = ((i, m.start()) for i in range(at + 8, self.size, 1 << 16) for m in re.finditer(b"MREC", self.read(i, 1 << 16)))
                at, gap = next((i + n for i, n in found if n % 8 == 0), self.size), gap or at
        yield from [(gap, at)] if gap else []


def payload(*copies):
    """Gives a payload MiB by MiB, each from the first of its copies that has it whole."""
    size, hashes = copies[0].size, copies[0].hashes
    leaves = [hashes[i : i + 32] for i in range(0, len(hashes) - 32, 32)]
    need(fold(leaves) == hashes[-32:], "the leaves are not those of the tree hash")
    for i, leaf in enumerate(leaves):
        chunk = next((c for c in (r.volume.read(r.at + i * MIB, min(MIB, size - i * MIB)) for r in copies) if sha256(c) == leaf), b"")
        need(chunk, "MiB %d does not match its hash" % i)
        yield chunk


class Store:
    def __init__(self, directory):
        self.wrong, self.said, self.parts = [], {"archive": {}, "multipart": {}, "deleted": {}}, {}  # the places of what says so
        self.removed, self.left = collections.defaultdict(dict), collections.defaultdict(dict)  # by volume and offset: lengths
        paths = sorted(glob.glob(os.path.join(glob.escape(directory), "*", "*.vol")), key=os.path.basename)
        form = re.compile(r".*[/\\](shared[/\\][0-9a-f]{32}|([0-9a-f]{2})[/\\][0-9a-f]{30}\2)[.]vol", re.DOTALL)
        self.paths = {os.path.basename(path)[:-4]: path for path in paths if form.fullmatch(path)}
        for r in (r for v in self.volumes([]) if v.shared for r in v.scan() if isinstance(r, Record) and r.kind > 3):
            caught(self.wrong, r.place, self.account, r)

    def volumes(self, wrong):
        return filter(None, (caught(wrong, name, Volume, path) for name, path in self.paths.items()))

    def account(self, r):  # notes what a removal record removes, or what an index takes for the remains of a crash
        data, form = b"".join(payload(r)), "<16sQII" if r.kind == 4 else "<QII"
        for *volume, offset, length, number in struct.iter_unpack(form, data):
            if length and (volume or number == 0xFFFFFFFF):
                (self.removed[volume[0].hex()] if volume else self.left[r.volume.name])[offset] = length

    def records(self):
        """Gives the records that exist. Notes what they say of archives, and what is wrong between them."""
        for v in self.volumes(self.wrong):
            removed, left = self.removed[v.name], self.left[v.name]
            for r in v.scan() if v.shared else filter(None, [caught(self.wrong, v.name + ":64", v.record, 64)]):
                if isinstance(r, Record) and r.kind <= 3 and r.offset not in removed:
                    caught(self.wrong, r.place, self.note, r)
                    yield r
                elif not isinstance(r, Record):
                    at, end = r
                    while at in removed or at in left:
                        at += removed.get(at) or left.get(at)
                    if at < end and (end < v.size or any(v.read(i, MIB).strip(b"\0") for i in range(at, end, MIB))):
                        self.wrong.append("%s:%d: damaged, or what a crash left, up to offset %d" % (v.name, at, end))
        self.archives = {k: v for k, v in {**self.said["multipart"], **self.said["archive"]}.items() if k not in self.said["deleted"]}

    def note(self, r):
        label = json.loads(r.label)
        if label.get("what") == "part":
            self.parts.setdefault((label["upload"], label.get("first", 0), r.size, r.hashes[-32:].hex()), []).append(r.place)
        elif label.get("what") in self.said:
            self.said[label["what"]].setdefault(label["archive"], []).append(r.place)

    def at(self, place):
        name, _, offset = place.partition(":")
        need(name in self.paths and int(offset) not in self.removed[name], "there is no such record and no such archive")
        return Volume(self.paths[name]).record(int(offset))

    def contents(self, name):
        """Returns the places of the copies of each piece of a record, or of an archive: of the youngest claim that has all its parts."""
        copies = self.archives.get(name) or [self.at(name).place]
        if name not in self.said["multipart"]:
            return [copies]
        claims, wrong = sorted(map(self.at, copies), key=lambda r: r.created, reverse=True), []
        return next(filter(None, (caught(wrong, r.place, self.parts_of, r) for r in claims)), None) or need(False, "; ".join(wrong))

    def parts_of(self, manifest):
        whole, *lines = [json.loads(line) for line in b"".join(payload(manifest)).splitlines()]
        upload, sizes, trees = json.loads(manifest.label)["upload"], [p["size"] for p in lines], [p["tree_hash"] for p in lines]
        need((sum(sizes), fold([*map(bytes.fromhex, trees)]).hex()) == (whole["size"], whole["tree_hash"]), "the parts are not the whole")
        found = [self.parts.get((upload, p["first"], p["size"], p["tree_hash"])) for p in lines]
        return found if all(found) else need(False, "%d of %d parts are missing" % (found.count(None), len(found)))

    def extract(self, name, path, final):
        pieces = self.contents(name)
        with open(path, "wb") if path != "-" else sys.stdout.buffer as out:
            out.writelines(chunk for copies in pieces for chunk in payload(*map(self.at, copies)))
        return path == final or os.replace(path, final) or True


def main(args):
    if len(args) != {"list": 2, "verify": 2, "extract": 4, "extract-all": 3}.get("".join(args[:1])) or not os.path.isdir(args[1]):
        print(__doc__, file=sys.stderr)
        return 2
    store, records, size = Store(args[1]), 0, 0
    for r in store.records():
        records, size = records + 1, size + r.size
        if args[0] == "list":
            when = datetime.datetime.fromtimestamp(r.created / 1000, datetime.timezone.utc).isoformat(timespec="milliseconds")
            print(r.place, KINDS[r.kind], when, r.size, r.hashes[-32:].hex(), json.dumps(caught([], "", json.loads, r.label)), sep="\t")
        elif args[0] == "verify":
            caught(store.wrong, r.place, collections.deque, payload(r), 0)
            caught(store.wrong, r.place, need, r.volume.shared or r.end >= r.volume.size, "there are bytes behind the record")
    if args[0] == "verify":
        for name in store.archives.keys() & store.said["multipart"].keys():
            caught(store.wrong, "archive " + name, store.contents, name)
        print("%d records, %d archives, %d bytes, %d faults" % (records, len(store.archives), size, len(store.wrong)))
    elif args[0] == "extract":
        store.wrong.clear()  # what is wrong with others does not matter
        caught(store.wrong, args[2], store.extract, args[2], args[3], args[3])
    elif args[0] == "extract-all":
        os.makedirs(args[2], exist_ok=True)
        paths = [(name, os.path.join(args[2], re.sub("[^A-Za-z0-9_-]", "_", name))) for name in store.archives]
        kept = [caught(store.wrong, "archive " + name, store.extract, name, path + ".part", path) for name, path in paths]
        print("%d of %d archives, %d faults" % (kept.count(True), len(kept), len(store.wrong)))
    sys.stderr.writelines(fault + "\n" for fault in store.wrong)
    return 1 if store.wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
