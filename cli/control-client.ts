import { request } from 'node:http'
import { MillraceError, type PlainError } from '../runtime/core/index.js'
import { type ControlFile, controlPath, readControlFile } from './control-file.js'

/** One call of a running job. Waits as long as the job needs unless `timeoutMs` is given. Throws the job's MillraceError, or CONTROL_UNREACHABLE. */
export async function callControl<T>(control: ControlFile, method: 'GET' | 'POST', path: string, body?: unknown, timeoutMs?: number): Promise<T> {
  const answer = await send(control, method, path, body, timeoutMs)
  const value = JSON.parse(answer.text) as T & { readonly error?: PlainError }
  if (answer.status === 200) return value
  if (value.error !== undefined) throw MillraceError.fromPlain(value.error)
  throw new Error(`status ${answer.status}`)
}

/** Finds the control file of `target` (a checkpoint folder or the file) and calls the job behind it. */
export async function callJobAt<T>(target: string, method: 'GET' | 'POST', path: string, body?: unknown): Promise<T> {
  const file = await controlPath(target)
  const control = await readControlFile(file)
  if (control === undefined) {
    throw new MillraceError('CONTROL_UNREACHABLE', {
      what: `No job runs with ${target}`,
      where: file,
      todo: 'Give the --checkpoint-dir (or --control file) of a job that is running.',
    })
  }
  try {
    return await callControl<T>(control, method, path, body)
  } catch (thrown) {
    if (thrown instanceof MillraceError) throw thrown
    throw new MillraceError('CONTROL_UNREACHABLE', {
      what: `The job '${control.job}' (process ${control.pid}) does not answer`,
      where: file,
      todo: 'It was probably killed; the file it left is harmless and is replaced by the next run.',
      cause: thrown,
    })
  }
}

/**
 * Whether the job of a control file still runs. The process id alone does not say: after a kill it may belong to another program, and the
 * port too; only the job knows the token. A process that accepts the connection but is too busy to answer counts as alive.
 */
export async function isLive(control: ControlFile): Promise<boolean> {
  if (!processExists(control.pid)) return false
  try {
    await callControl(control, 'GET', '/job', undefined, 3000)
    return true
  } catch (thrown) {
    return thrown instanceof Error && thrown.message === TIMEOUT
  }
}

const TIMEOUT = 'no answer in time'

function processExists(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch (thrown) {
    return (thrown as NodeJS.ErrnoException).code === 'EPERM'
  }
}

function send(
  control: ControlFile,
  method: string,
  path: string,
  body: unknown,
  timeoutMs: number | undefined,
): Promise<{ status: number; text: string }> {
  return new Promise((resolve, reject) => {
    const text = body === undefined ? '' : JSON.stringify(body)
    const headers = { authorization: `Bearer ${control.token}`, 'content-type': 'application/json', 'content-length': Buffer.byteLength(text) }
    // Not fetch: it gives up after five minutes, and a savepoint may take longer.
    const call = request(new URL(path, control.url), { method, headers, agent: false }, (response) => {
      const chunks: Buffer[] = []
      response.on('data', (chunk: Buffer) => chunks.push(chunk))
      response.on('error', reject)
      response.on('end', () => resolve({ status: response.statusCode ?? 0, text: Buffer.concat(chunks).toString('utf8') }))
    })
    if (timeoutMs !== undefined) call.setTimeout(timeoutMs, () => call.destroy(new Error(TIMEOUT)))
    call.on('error', reject)
    call.end(text)
  })
}
