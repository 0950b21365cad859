import { join } from 'node:path'
import { installServer, pinsOf } from '../scripts/aws-servers.mjs'
import { type GroupLeader, isRunning, spawnLeader, until } from './process-group.js'

const START_MS = 60_000

export interface MiniStackOptions {
  readonly port: number
  /** What it keeps stands here, and its log. */
  readonly folder: string
  /** Functions run there: not below a package of anybody's, whose type and libraries would count for them. */
  readonly temporary: string
  /** It keeps its state when it ends in order, and goes on from there. */
  readonly persist: boolean
  /** It ends with this process. */
  readonly child: boolean
}

/** Starts MiniStack, which is installed first if need be. Resolves when it answers. */
export async function startMiniStack({ port, folder, temporary, persist, child }: MiniStackOptions): Promise<GroupLeader> {
  const installed = await installServer('ministack')
  const log = join(folder, 'ministack.log')
  const args = [join(pinsOf('ministack'), 'launch.py'), ...(child ? [] : ['--detached'])]
  const env = {
    PYTHONPATH: installed,
    PYTHONDONTWRITEBYTECODE: '1',
    GATEWAY_PORT: String(port),
    BIND_HOST: '127.0.0.1',
    MINISTACK_HOST: '127.0.0.1',
    STATE_DIR: join(folder, 'state'),
    S3_DATA_DIR: join(folder, 's3'),
    TMPDIR: temporary,
    PERSIST_STATE: persist ? '1' : '0',
    S3_PERSIST: persist ? '1' : '0',
    // Would listen on every interface.
    IOT_MTLS_ENABLED: '0',
    SFTP_ENABLED: '0',
    LOG_LEVEL: 'INFO',
    // Functions are to find this server, and not what the environment here names.
    AWS_ENDPOINT_URL: `http://127.0.0.1:${port}`,
    AWS_ENDPOINT_URL_S3: `http://127.0.0.1:${port}`,
  }
  const leader = spawnLeader('python3', args, { env, log, child })
  const health = `http://127.0.0.1:${port}/_ministack/health`
  const healthy = () => fetch(health).then(ok, () => false)
  await until(START_MS, async () => !isRunning(leader) || (await healthy()))
  if (isRunning(leader)) return leader
  throw new Error(`MiniStack does not start; ${log} says why`)
}

function ok(response: Response): boolean {
  return response.ok
}
