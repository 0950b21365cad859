/** Numbers that stay exact as integers up to here, differences and sign bit included. */
const LARGEST = 2 ** 50
/** Decimal places that are tried: whole numbers, cents, thousandths of a tenth. */
const SCALES = [1, 100, 10_000] as const
const RAW = 255
const LONGEST_VARINT = 8
/** Up to here bits can be taken by integer operations. */
const SMALL = 2 ** 31

/**
 * Numbers as few bytes that deflate well: the differences of neighbours as variable-length integers where all are decimals of few places (first
 * byte: which of the scales), else as doubles (first byte: 255). Every number comes back as it is, -0 and NaN too.
 */
export function packNumbers(numbers: ArrayLike<number>, size: number): Uint8Array {
  const scale = scaleOf(numbers, size)
  if (scale < 0) return packDoubles(numbers, size)
  const factor = SCALES[scale]
  let bytes = new Uint8Array(1 + 3 * size + LONGEST_VARINT)
  bytes[0] = scale
  let at = 1
  let before = 0
  for (let i = 0; i < size; i++) {
    if (at + LONGEST_VARINT > bytes.length) {
      const more = new Uint8Array(2 * bytes.length + LONGEST_VARINT)
      more.set(bytes)
      bytes = more
    }
    const now = Math.round(numbers[i] * factor)
    const difference = now - before
    before = now
    let left = difference < 0 ? -2 * difference - 1 : 2 * difference
    while (left >= SMALL) {
      bytes[at++] = (left % 128) | 128
      left = Math.floor(left / 128)
    }
    while (left > 127) {
      bytes[at++] = (left & 127) | 128
      left >>>= 7
    }
    bytes[at++] = left
  }
  return bytes.subarray(0, at)
}

/** Throws RangeError when the bytes are not of so many numbers. */
export function unpackNumbers(bytes: Uint8Array, size: number): number[] {
  const scale = bytes[0]
  if (scale === RAW) return unpackDoubles(bytes, size)
  const factor = SCALES[scale]
  if (factor === undefined) throw new RangeError(`there is no scale ${scale}`)
  const numbers = new Array<number>(size)
  let at = 1
  let now = 0
  for (let i = 0; i < size; i++) {
    let byte = bytes[at++]
    let left = byte & 127
    for (let weight = 128; byte > 127; weight *= 128) {
      byte = bytes[at++]
      left += (byte & 127) * weight
    }
    now += left % 2 === 0 ? left / 2 : -(left + 1) / 2
    numbers[i] = factor === 1 ? now : now / factor
  }
  if (at !== bytes.length) throw new RangeError(`${bytes.length} bytes are not ${size} numbers`)
  return numbers
}

/** Index of the first scale that fits all; -1 when none does. */
function scaleOf(numbers: ArrayLike<number>, size: number): number {
  let scale = 0
  let factor: number = SCALES[0]
  for (let i = 0; i < size; i++) {
    const number = numbers[i]
    if (!(number < LARGEST && number > -LARGEST) || (number === 0 && 1 / number < 0)) return -1
    for (;;) {
      const scaled = Math.round(number * factor)
      if (scaled / factor === number && scaled < LARGEST && scaled > -LARGEST) break
      if (++scale === SCALES.length) return -1
      factor = SCALES[scale]
      i = -1 // those before have to fit, too
      break
    }
  }
  return scale
}

function packDoubles(numbers: ArrayLike<number>, size: number): Uint8Array {
  const bytes = new Uint8Array(1 + 8 * size)
  bytes[0] = RAW
  bytes.set(new Uint8Array(Float64Array.from({ length: size }, (_, i) => numbers[i]).buffer), 1)
  return bytes
}

function unpackDoubles(bytes: Uint8Array, size: number): number[] {
  if (bytes.length !== 1 + 8 * size) throw new RangeError(`${bytes.length} bytes are not ${size} numbers`)
  // A copy, because the bytes may lie at any offset and numbers of 8 bytes may not.
  return Array.from(new Float64Array(new Uint8Array(bytes.subarray(1)).buffer))
}
