/** Where things stand below a store's root: `chk-<id>/manifest.json`, `shared/<segment>.seg`; a savepoint's `manifest.json` at the root. */
export const SAVEPOINT_MANIFEST = 'manifest.json'
export const CHECKPOINTS = 'chk-'
export const SEGMENTS = 'shared/'

export function manifestName(checkpointId: number): string {
  return `${CHECKPOINTS}${checkpointId}/manifest.json`
}

/** The checkpoint whose manifest `name` is, or undefined for any other blob. */
export function checkpointIdOfManifest(name: string): number | undefined {
  const match = /^chk-(\d+)\/manifest\.json$/.exec(name)
  return match === null ? undefined : Number(match[1])
}

const LONGEST_UID = 60

/** Such that two attempts, or two operators whose uids look alike on this file system, never write one name: the nonce tells them apart. */
export function segmentName(uid: string, subtask: number, checkpointId: number, nonce: string): string {
  const operator = uid.replace(/[^A-Za-z0-9_-]/g, '_').slice(0, LONGEST_UID)
  return `${SEGMENTS}${operator}-${subtask}-${checkpointId}-${nonce.replace(/[^A-Za-z0-9]/g, '')}.seg`
}

/** Name of a segment that an attempt has taken over from another folder. */
export function adoptedName(name: string, attempt: number): string {
  return name.replace(/\.seg$/, `a${attempt}.seg`)
}

/** The checkpoint for which a segment was written, or undefined for a blob that is none of ours. */
export function checkpointIdOfSegment(name: string): number | undefined {
  const match = /^shared\/[^/]*-\d+-(\d+)-[A-Za-z0-9]*\.seg$/.exec(name)
  return match === null ? undefined : Number(match[1])
}

/** `name` below `root` for a message; in the root's own kind of slashes. */
export function placeOf(root: string, name: string): string {
  if (root === '') return name
  const slash = root.includes('\\') && !root.includes('/') ? '\\' : '/'
  return `${root.replace(/[\\/]+$/, '')}${slash}${name.replaceAll('/', slash)}`
}
