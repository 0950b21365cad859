import { assert } from '../../core/index.js'

/** A blob's name as path segments that every platform takes: what is not a letter, a digit, `_`, `-`, `=` or an inner dot is percent-encoded. */
export function fileSegmentsOf(name: string): string[] {
  return name.split('/').map((segment) => {
    assert(segment !== '', `a blob's name has no empty segments: '${name}'`)
    const encoded = encodeURIComponent(segment)
      .replace(/[!'()*~]/g, (char) => `%${char.charCodeAt(0).toString(16).toUpperCase()}`)
      .replaceAll('%3D', '=')
    // A leading dot hides files (and could be `..`); Windows drops a trailing one.
    return encoded.replace(/^\./, '%2E').replace(/\.$/, '%2E')
  })
}

/** The inverse of {@link fileSegmentsOf}. */
export function blobNameOf(segments: readonly string[]): string {
  return segments.map((segment) => decodeURIComponent(segment)).join('/')
}
