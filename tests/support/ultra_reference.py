"""Times of ULTRACAM and ULTRASPEC frames one after another, with a list of stamps that is kept: as slow and plain as can be.

Written after the description of the format alone, to compare the reader with: numbers of the .xml come straight from its text.
"""

from __future__ import annotations

import struct

DAY = 86400.0
SPEEDS = {0xCDD: 10.0, 0xFBB: 4.4, 0xFDD: 2.2}
FIRST_SUNDAY = 52525


def day_of(year, month, day):
    import datetime as dt

    return dt.date(year, month, day).toordinal() - 678576


class Reader:
    """Frames are read one after another; `epoch` is 'may2002' for runs without version and clock."""

    def __init__(self, instrument, mode, parameters, *, stamp_format, unit, nblue=1, epoch=""):
        self.instrument, self.mode, self.p = instrument, mode, {k: int(v) for k, v in parameters.items()}
        self.format, self.unit, self.nblue, self.epoch = stamp_format, unit, nblue, epoch
        self.asked = self.p["EXPOSE_TIME" if instrument == "ULTRACAM" else "DWELL"] * unit
        self.stamps, self.blues, self.before, self.number = [], [], None, None

    def read(self, data):
        """Time of one frame: stamp, (middle, exposure, good), the same of blue, whether blue was read."""
        number = struct.unpack_from("<I", data, 4)[0]
        mjd, good, satellites = self.clock(data)
        if self.number is None or number != self.number + 1:
            self.stamps, self.blues = [], []
        self.number = number
        self.stamps.insert(0, mjd)
        middle, exposure, fine = self.middle(number, satellites)
        good = good and fine
        if middle < 51544:
            middle, good = 51544.0, False
        self.blues.insert(0, (middle, exposure, good))
        junk = self.nblue > 1 and data[0] & (0x10 if self.format == 2 else 0x08) != 0
        return mjd, (middle, exposure, good), self.blue(junk), not junk

    def clock(self, data):
        if self.format == 2:
            seconds, ticks = struct.unpack_from("<II", data, 12)
            status = struct.unpack_from("<H", data, 24)[0]
            wrong = struct.unpack_from("<I", data, 8)[0] * self.unit != self.asked
            bad = wrong or status & 0x200 or status & 0x80 or not status & 4 or status & 1
            return 40587 + (seconds + ticks / 1e7) / DAY, not bad, None
        seconds, nanoseconds = (0 if v == 0xFFFFFFFF else v for v in struct.unpack_from("<II", data, 9))
        day, month, year = struct.unpack_from("<BBH", data, 17)
        satellites = struct.unpack_from("<h", data, 21)[0]
        s = seconds + nanoseconds / 1e9
        if satellites == -1:
            mjd = 51544 + s / DAY
        elif self.epoch:
            mjd = 52406 + s / DAY
            mjd += 7 if mjd < 52410 else 0
            if self.before is not None and mjd < self.before:
                mjd += 10 / DAY
        else:
            mjd = self.dated(day, month, 2002 if (month, year) == (9, 263) else year, seconds, nanoseconds)
        if int(mjd - 3) % 7 == seconds // 86400 % 7:
            mjd += 1
        self.before = mjd
        return mjd, satellites > 2, satellites

    @staticmethod
    def dated(day, month, year, seconds, nanoseconds):
        s = seconds + nanoseconds / 1e9
        if year < 2002:
            return FIRST_SUNDAY + s / DAY
        date = day_of(year, month, day)
        if (year, month) == (2002, 9):
            weeks, weekday = divmod(date - FIRST_SUNDAY, 7)
            if weekday > 3 and seconds < 2 * 86400:
                weeks += 1
            elif weekday <= 3 and seconds > 5 * 86400:
                weeks -= 1
            return FIRST_SUNDAY + 7 * weeks + s / DAY
        return date + (seconds % 86400 + nanoseconds / 1e9) / DAY

    def shift(self, mjd, satellites):
        if self.epoch:
            return 10e-6 if mjd < 52411.5 else 24.46e-6
        b = self.p.get("V_FT_CLK", 0) >> 16 & 0xFF
        if mjd > 52852 or satellites == -1:
            return 6e-9 * (40 + 320 * (b - 128)) if b > 127 else 6e-9 * (40 + 40 * b)
        return 6e-9 * (80 + 160 * (b - 128)) if b > 127 else 6e-9 * (80 + 20 * b)

    def read_out(self, v):
        p, pixel, clock = self.p, 1.2 + SPEEDS[self.p["GAIN_SPEED"]], 0.48
        xbin, ybin = p["X_BIN_FAC"], p["Y_BIN_FAC"]
        if self.mode in {"FFCLR", "FFNCLR"}:
            return 1024 / ybin * (v * ybin + 536 * clock + (512 / xbin + 2) * pixel) * 1e-6
        if self.mode in {"FFOVER", "FFOVNC"}:
            return 1032 / ybin * (v * ybin + 540 * clock + (540 / xbin + 2) * pixel) * 1e-6
        total, above = 0.0, 1
        for n in range(1, 1 + {"2-PAIR": 2, "3-PAIR": 3}.get(self.mode, 1)):
            nx, ny = p[f"X{n}_SIZE"] // xbin * xbin, p[f"Y{n}_SIZE"] // ybin * ybin
            low, left, right = p[f"Y{n}_START"], p[f"X{n}L_START"] - 1, 1024 - (p[f"X{n}R_START"] + nx - 1)
            clocks = nx + abs(left - right) + 8 + (min(left, right))
            total += 0.0 if self.mode == "1-PCLR" else (low - above) * v
            total += ny / ybin * (v * ybin + clocks * clock + (nx / xbin + 2) * pixel)
            above = low + ny
        return total * 1e-6

    def middle(self, n, satellites):
        t, k, x = self.stamps, len(self.stamps), self.asked
        mjd = t[0]
        default = mjd < 52852 or 53371 < mjd < 55256
        if self.instrument == "ULTRASPEC":
            return self.drift(14.4e-6, False) if self.mode == "UDRIFT" else self.ultraspec(n)
        v = self.shift(mjd, satellites)
        ft = 1033 * v
        if self.mode == "DRIFT":
            return self.drift(v, default)
        if self.mode in {"FFCLR", "FFOVER", "1-PCLR"}:
            if default:
                return mjd + x / 2 / DAY, x, True
            if k >= 2:
                return t[1] + (2060 * v + x / 2) / DAY, x, True
            return mjd - (ft + self.read_out(v) + x / 2) / DAY, x, False
        ro = self.read_out(v)
        if default and n == 1:
            return mjd - (ft + x / 2) / DAY, x, True
        if default and k >= 2:
            e = DAY * (t[0] - t[1]) - ft
            return t[1] + e / 2 / DAY, e, True
        if default:
            e = ro + x
            return mjd - (ft + e / 2) / DAY, e, False
        if n == 1:
            return mjd - (ft + ro + x / 2) / DAY, x, False
        if k == 1:
            e = ro + x
            return mjd + (x - e - ft - e / 2) / DAY, e, False
        e = DAY * (t[1] - t[2]) - ft if k >= 3 else DAY * (t[0] - t[1]) - ft
        return t[1] + (x - e / 2) / DAY, e, k >= 3

    def drift(self, v, default):
        t, k, x = self.stamps, len(self.stamps), self.asked
        ultracam = self.instrument == "ULTRACAM"
        ybin = self.p["Y_BIN_FAC"] if ultracam else self.p["Y_BIN"]
        rows = self.p["Y1_SIZE"] // ybin * ybin if ultracam else self.p["Y1_SIZE"] * ybin
        w = int(((1033 if ultracam else 1037) / rows + 1) / 2)
        ft = (rows + self.p["Y1_START"] - 1) * v + (0 if ultracam else 49e-6)
        if default and k > w:
            e = DAY * (t[w - 1] - t[w]) - ft
            return t[w] + e / 2 / DAY, e, True
        if default or k <= w:
            return 51544.0, x, False
        e = DAY * (t[w] - t[w + 1]) - ft if k > w + 1 else DAY * (t[w - 1] - t[w]) - ft
        return t[w] + (x - e / 2) / DAY, e, k > w + 1

    def ultraspec(self, n):
        t, k, x = self.stamps, len(self.stamps), self.asked
        simple = self.p["EN_CLR"] == 1 or n == 1
        if t[0] < 55825:
            if simple or k < 2:
                return t[0] - x / 2 / DAY, x, False
            e = DAY * (t[0] - t[1]) - 0.0067196
            return t[0] - e / 2 / DAY, e, False
        if simple and k >= 2:
            return t[1] + (0.0309516 + x / 2) / DAY, x, True
        if simple:
            return t[0] + (0.0149818 + x / 2) / DAY, x, False
        if k == 1:
            return t[0] - 1.5 * x / DAY, x, False
        e = DAY * (t[1] - t[2]) - 0.0149818 if k >= 3 else DAY * (t[0] - t[1]) - 0.0149818
        return t[1] + (x - e / 2) / DAY, e, k >= 3

    def blue(self, junk):
        if self.nblue == 1 or junk:
            return self.blues[0]
        known = self.blues[: self.nblue]
        middle, exposure, good = known[0]
        end = middle + exposure / 2 / DAY
        start = known[-1][0] - known[-1][1] / 2 / DAY
        length = DAY * (end - start)
        if len(known) == self.nblue:
            return self.kept((start + end) / 2, length, good and known[-1][2])
        length *= self.nblue / len(known)
        return self.kept(end - length / 2 / DAY, length, False)

    @staticmethod
    def kept(middle, length, good):
        return (51544.0, length, False) if middle < 51544 else (middle, length, good)


def windows_of(instrument, application, parameters, version, words):
    """Windows of a frame as (CCD, label, llx, lly, xbin, ybin, amplifier, counts), from its words without the time stamp.

    `version` is that of the software, and the words come in the order of the file.
    """
    p = {name: int(value) for name, value in parameters.items()}
    xbin, ybin = (p.get(f"{axis}_BIN_FAC", p.get(f"{axis}_BIN")) for axis in "XY")
    if instrument == "ULTRASPEC":
        return _spec_windows(application, p, xbin, ybin, words)
    found, at = [], 0
    over = "frameover" in application
    if over:
        pairs = [(1, 513, 1, 540 // xbin, 1032 // ybin)]
    elif "fullframe" in application:
        pairs = [(1, 513, 1, 512 // xbin, 1024 // ybin)]
    else:
        number = next((n for n in (2, 3) if f"window{n}pair" in application or f"ap_win{2 * n}_" in application), 1)
        pairs = [
            (p[f"X{n}L_START"], p[f"X{n}R_START"], p[f"Y{n}_START"], p[f"X{n}_SIZE"] // xbin, p[f"Y{n}_SIZE"] // ybin)
            for n in range(1, number + 1)
        ]
    for n, (left, right, low, nx, ny) in enumerate(pairs):
        for ccd in range(3):
            arrays = [[[0] * nx for _ in range(ny)] for _ in "LR"]
            for j in range(ny):
                for i in range(nx):
                    group = at + 6 * (j * nx + i)
                    arrays[0][j][i] = words[group + 2 * ccd]
                    arrays[1][j][nx - 1 - i] = words[group + 2 * ccd + 1]
            label = str(ccd + 1)
            if over:
                found += _overscan(label, xbin, ybin, *arrays)
            elif version == -1:
                found.append((label, str(2 * n + 1), left, low, xbin, ybin, "LL", [row[1:] for row in arrays[0]]))
                found.append((label, str(2 * n + 2), right + xbin, low, xbin, ybin, "LR", [row[:-1] for row in arrays[1]]))
            else:
                found.append((label, str(2 * n + 1), left, low, xbin, ybin, "LL", arrays[0]))
                found.append((label, str(2 * n + 2), right, low, xbin, ybin, "LR", arrays[1]))
        at += 6 * nx * ny
    return found


def _overscan(ccd, xbin, ybin, left, right):
    def x(n):
        return n // xbin

    top = 1024 // ybin
    parts = [
        (1, 1, "LL", [row[x(24) : x(536)] for row in left[:top]]),
        (513, 1, "LR", [row[x(4) : x(516)] for row in right[:top]]),
        (1025, 1, "LL", [row[: x(24)] + row[-x(4) :] for row in left]),
        (1053, 1, "LR", [row[: x(4)] + row[-x(24) :] for row in right]),
        (1, 1025, "LL", [row[x(24) : x(536)] for row in left[top:]]),
        (513, 1025, "LR", [row[x(4) : x(516)] for row in right[top:]]),
    ]
    return [(ccd, str(n), llx, lly, xbin, ybin, amp, counts) for n, (llx, lly, amp, counts) in enumerate(parts, start=1)]


def _spec_windows(application, p, xbin, ybin, words):
    drift, other = "drift" in application, p["OUTPUT"] != 0
    number = 2 if drift else next((n - 1 for n in (2, 3, 4) if p.get(f"X{n}_SIZE", 0) == 0), 4)
    found, at = [], 0
    width = sum(p[f"X{n}_SIZE"] for n in range(1, number + 1))
    for n in range(1, number + 1):
        x, nx = p[f"X{n}_START"], p[f"X{n}_SIZE"]
        y, ny = (p[f"Y{1 if drift else n}_{name}"] for name in ("START", "SIZE"))
        c = -(-max(0, 17 - x) // xbin)
        llx = max(1, 1074 - x - nx * xbin) if other else max(1, x + c * xbin - 16)
        counts = []
        for j in range(ny):
            if drift:
                row = list(words[j * width : (j + 1) * width])
                row = row[::-1] if other else row
                counts.append(row[at + c : at + nx])
            else:
                row = list(words[at + j * nx : at + (j + 1) * nx])
                counts.append(row[: nx - c][::-1] if other else row[c:])
        at += nx if drift else nx * ny
        found.append(("1", str(n), llx, y, xbin, ybin, "LR" if other else "LL", counts))
    return found
