import { MillraceError } from '../core/index.js'
import type { BlobStore } from '../ports/index.js'
import { placeOf } from './checkpoint-names.js'
import { CheckpointStore } from './checkpoint-store.js'
import type { Manifest } from './manifest.js'

/** A checkpoint that was found, with the store that has its segments. */
export interface OpenedCheckpoint {
  readonly store: CheckpointStore
  readonly manifest: Manifest
  /** The `chk-<id>` folder, or the savepoint's. */
  readonly path: string
}

/** Opens the blob store at a path in the platform's form; for a path where nothing is, one without blobs. */
export type OpenStore = (root: string) => BlobStore

/**
 * What `restoreFrom` names: `latest` in `checkpointDir` (undefined when there is none: a fresh start), or the path of a
 * folder with checkpoints (the newest), a `chk-<id>` folder, a savepoint, or a manifest.json. `/` and `\` both separate.
 * Throws CHECKPOINT_NOT_FOUND, CHECKPOINT_CORRUPT, CHECKPOINT_VERSION.
 */
export async function openCheckpoint(restoreFrom: string, openStore: OpenStore, checkpointDir?: string): Promise<OpenedCheckpoint | undefined> {
  if (restoreFrom === 'latest') {
    if (checkpointDir === undefined) throw notFound('"latest" needs a checkpoint folder', undefined)
    return newestIn(storeAt(checkpointDir, openStore))
  }
  const path = restoreFrom.replace(/(?<=[^\\/:])[\\/]+$/, '')
  const { parent, name } = splitPath(path)
  const found = name === 'manifest.json' ? await openFolder(parent, openStore) : await openFolder(path, openStore)
  if (found === undefined) throw notFound('there is no checkpoint or savepoint at this path', restoreFrom)
  return found
}

/** A folder named `chk-<id>` is that checkpoint of its parent if the parent has it; else it is a folder like any other. */
async function openFolder(path: string, openStore: OpenStore): Promise<OpenedCheckpoint | undefined> {
  const { parent, name } = splitPath(path)
  const id = /^chk-(\d+)$/.exec(name)
  if (id !== null) {
    const store = storeAt(parent, openStore)
    if ((await store.ids()).includes(Number(id[1]))) return opened(store, await store.load(Number(id[1])))
  }
  return newestIn(storeAt(path, openStore))
}

async function newestIn(store: CheckpointStore): Promise<OpenedCheckpoint | undefined> {
  const manifest = await store.latest()
  return manifest === undefined ? undefined : opened(store, manifest)
}

/** A savepoint stands at the root of its folder, or among the checkpoints of a job on AWS. */
async function opened(store: CheckpointStore, manifest: Manifest): Promise<OpenedCheckpoint> {
  const { kind, checkpointId } = manifest
  const atRoot = kind === 'savepoint' && !(await store.ids()).includes(checkpointId)
  return { store, manifest, path: atRoot ? store.root : placeOf(store.root, `chk-${checkpointId}`) }
}

function storeAt(root: string, openStore: OpenStore): CheckpointStore {
  return new CheckpointStore(openStore(root), { root })
}

/** The parent of a relative name is `.`; that of a name at a root keeps the root's slash. */
function splitPath(path: string): { readonly parent: string; readonly name: string } {
  const at = Math.max(path.lastIndexOf('/'), path.lastIndexOf('\\'))
  if (at < 0) return { parent: '.', name: path }
  const parent = path.slice(0, at)
  return { parent: parent === '' || parent.endsWith(':') ? path.slice(0, at + 1) : parent, name: path.slice(at + 1) }
}

function notFound(what: string, where: string | undefined): MillraceError {
  return new MillraceError('CHECKPOINT_NOT_FOUND', {
    what,
    where,
    todo: 'Name a folder with checkpoints, a chk-<id> folder in one, a savepoint folder or a manifest.json; millrace checkpoints DIR lists what is there.',
  })
}
