#!/usr/bin/env python3
"""Lists, verifies and extracts what is in Moraine volumes, as docs/formats.md describes them. Nothing but Python 3.8 is needed.

usage: read_volume.py list DIRECTORY                         every record, one a line
       read_volume.py verify DIRECTORY                       reads and checks every byte; names what is damaged
       read_volume.py extract DIRECTORY PLACE|ARCHIVE FILE   one payload, or an archive of any kind ("-": standard output)
A place is the first column of the list. Exit codes: 0 all is well, 1 something is damaged or missing, 2 usage.
"""
import collections, datetime, glob, hashlib, json, os, re, struct, sys, zlib

MIB, KINDS = 1 << 20, {1: "payload", 2: "manifest", 3: "tombstone"}
Record = collections.namedtuple("Record", "place path kind created label size at leaves tree")


def need(true, why):
    if not true:
        raise ValueError(why)


def caught(wrong, where, do, *args):
    try:
        return do(*args)
    except (ValueError, KeyError) as e:
        wrong.append("%s: %s" % (where, e))


def sha256(*parts):
    return hashlib.sha256(b"".join(parts)).digest()


def fold(nodes):
    """Returns the tree hash of nodes of one height: pairs are joined, one without a partner goes up."""
    while len(nodes) > 1:
        nodes = [sha256(*nodes[i : i + 2]) if i + 1 < len(nodes) else nodes[i] for i in range(0, len(nodes), 2)]
    return nodes[0] if nodes else sha256()


def sealed(header, magic):
    return len(header) == 64 and header.startswith(magic) and zlib.crc32(header[:60]) == struct.unpack("<I", header[60:])[0]


def read_at(f, at, n):
    f.seek(at)
    return f.read(n)


def read_record(path):
    """Reads the record of a volume without its payload, and checks all of it but the payload."""
    name = os.path.basename(path)[:-4]
    with open(path, "rb") as f:
        volume, header = read_at(f, 0, 64), read_at(f, 64, 64)
        need(sealed(volume, b"MORAINEV"), "the volume header is damaged or was never written")
        need(struct.unpack("<II", volume[8:16]) == (1, 64), "the volume has format %d; this program reads format 1" % volume[8])
        need(volume[16:32].hex() == name, "the volume is not the one that its file is named after")
        need(sealed(header, b"MREC"), "the record header is damaged or was never written")
        kind, label_size, size, created = struct.unpack("<4xB3xI4xQq32x", header)
        need(kind in KINDS and label_size <= 1 << 16 and size <= 1 << 50, "the record header has impossible values")
        need(not any(header[5:8] + header[12:16] + header[48:60]), "reserved bytes of the record header are not zero")
        label, at, count = read_at(f, 128, label_size), 128 + label_size, -(-size // MIB)
        need(at + size + 32 * count + 88 <= os.fstat(f.fileno()).st_size, "the record is cut off")
        hashes, tail = read_at(f, at + size, 32 * (count + 1)), read_at(f, at + size + 32 * (count + 1), 56)
        need(tail == sha256(header, label, hashes) + header[32:48] + b"MRECEND\n", "the trailer is damaged or was never written")
    leaves = [hashes[i : i + 32] for i in range(0, 32 * count, 32)]
    return Record(name + ":64", path, KINDS[kind], created, json.loads(label), size, at, leaves, hashes[-32:])


def payload(record):
    """Gives the payload MiB by MiB. Each is checked before it is given."""
    need(fold(record.leaves) == record.tree, "the leaves are not those of the tree hash")
    with open(record.path, "rb") as f:
        for i, leaf in enumerate(record.leaves):
            chunk = read_at(f, record.at + i * MIB, min(MIB, record.size - i * MIB))
            need(sha256(chunk) == leaf, "MiB %d does not match its hash" % i)
            yield chunk


def scan(directory):
    """Returns the complete records, the oldest first, and what is wrong with the other volumes."""
    paths, wrong = sorted(glob.glob(os.path.join(glob.escape(directory), "[0-9a-f][0-9a-f]", "*.vol"))), []
    names = [re.search(r"([0-9a-f]{2})/([0-9a-f]{30}\1)[.]vol$", p) for p in paths]
    records = [caught(wrong, n[2] + ":64", read_record, n.string) for n in names if n]
    return sorted(filter(None, records), key=lambda r: (r.created, r.place)), wrong


def parts_of(manifest, parts):
    """Returns the records of the parts of a multipart archive, in their order."""
    whole, *lines = [json.loads(line) for line in b"".join(payload(manifest)).splitlines()]
    upload, found, end = manifest.label["upload"], [], 0
    for line in lines:
        part = parts.get((upload, line["first"], line["tree_hash"]))
        need(part and part.size == line["size"] and line["first"] == end, "the part at %d is missing" % line["first"])
        found, end = found + [part], end + part.size
    need((end, fold([p.tree for p in found]).hex()) == (whole["size"], whole["tree_hash"]), "the parts are not the whole")
    return found


def index(records):
    """Returns the records that claim to be the archives that exist, by id, and the parts by what a manifest says of them."""
    archives, parts, deleted = collections.defaultdict(list), {}, set()
    for r in records:
        if r.label["what"] == "deleted":
            deleted.add(r.label["archive"])
        elif r.label["what"] == "part":
            parts[r.label["upload"], r.label.get("first", 0), r.tree.hex()] = r
        elif r.label["what"] in ("archive", "multipart"):
            archives[r.label["archive"]].append(r)
    return {name: found for name, found in archives.items() if name not in deleted}, parts


def contents(claims, parts):
    """Returns the records whose payloads are an archive: of the youngest claim that has all its parts."""
    wrong = []
    found = (caught(wrong, r.place, parts_of, r, parts) if r.kind == "manifest" else [r] for r in reversed(claims))
    return next(filter(None, found), None) or need(False, "; ".join(wrong) or "there is no such record and no such archive")


def extract(name, path, records, archives, parts):
    found = [r for r in records if r.place == name] or contents(archives.get(name, []), parts)
    with open(path, "wb") if path != "-" else sys.stdout.buffer as out:
        for record in found:
            out.writelines(payload(record))


def main(args):
    lengths = {"list": 2, "verify": 2, "extract": 4}
    if not args or lengths.get(args[0]) != len(args) or not os.path.isdir(args[1]):
        print(__doc__, file=sys.stderr)
        return 2
    records, wrong = scan(args[1])
    archives, parts = index(records)
    if args[0] == "list":
        for r in records:
            when = datetime.datetime.fromtimestamp(r.created / 1000, datetime.timezone.utc).isoformat(timespec="milliseconds")
            print(r.place, r.kind, when, r.size, r.tree.hex(), json.dumps(r.label), sep="\t")
    elif args[0] == "verify":
        for r in records:
            caught(wrong, r.place, lambda: collections.deque(payload(r), 0))
        for name, claims in archives.items():
            caught(wrong, "archive " + name, contents, claims, parts)
        print("%d records, %d archives, %d bytes, %d faults" % (len(records), len(archives), sum(r.size for r in records), len(wrong)))
    else:
        wrong.clear()  # what is wrong with others does not matter
        caught(wrong, args[2], extract, *args[2:], records, archives, parts)
    sys.stderr.writelines(fault + "\n" for fault in wrong)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
