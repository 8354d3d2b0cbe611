"""Judges raw DEFLATE streams with the zlib of C.

Standard input holds records: window bits (1 byte), whether the stream keeps to that window (1 byte),
the stream and what it has to give (each a length of 4 bytes, the highest first, and the bytes).
Prints "ok" and the number of records, or the first that is wrong.
"""

import struct
import sys
import zlib


def inflate(stream, window_bits):
    """zlib checks a distance against its window and the output of the current call, so that each
    call may give no more than one byte."""
    decompressor = zlib.decompressobj(-window_bits)
    output = bytearray()
    for start in range(0, len(stream), 64):
        rest = stream[start : start + 64]
        while True:
            given = decompressor.decompress(rest, 1)
            rest = decompressor.unconsumed_tail
            output += given
            if not given and not rest:
                break
    return bytes(output)


def records(source):
    while header := source.read(2):
        window_bits, inflates = header
        stream, output = (
            source.read(*struct.unpack(">I", source.read(4))) for _ in range(2)
        )
        yield window_bits, bool(inflates), stream, output


def main():
    count = 0
    for window_bits, inflates, stream, output in records(sys.stdin.buffer):
        try:
            right = inflate(stream, window_bits) == output
            why = "other bytes"
        except zlib.error as error:
            right, why = False, error
        if right != inflates:
            verdict = why if inflates else "inflates, and refers to what is too far back"
            sys.exit(print(f"record {count}, {window_bits} bits: {verdict}"))
        count += 1
    print("ok", count)


main()
