import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { AccessLog } from './access-log.js'
import type { DeployedExample } from './app.js'
import type { Cloud } from './cloud.js'
import { Deployment } from './deployment.js'

/** What a scenario is given. */
export class Stage {
  readonly #deployments: Deployment[] = []

  constructor(
    readonly cloud: Cloud,
    readonly log: AccessLog,
    readonly name: string,
    readonly say: (line: string) => void,
  ) {}

  /** The example, deployed anew for this scenario. */
  async deployed(changes: Partial<DeployedExample> = {}): Promise<Deployment> {
    const deployment = new Deployment(this.cloud, `e2e-${this.name}`)
    this.#deployments.push(deployment)
    await deployment.deploy(changes)
    return deployment
  }

  /** Lines of the log between two fractions of it. */
  lines(from: number, to: number): readonly string[] {
    const at = (fraction: number) => Math.floor(fraction * this.log.lines.length)
    return this.log.lines.slice(at(from), at(to))
  }

  /** Waits until about this fraction of the windows is in the table. */
  async arrived(deployment: Deployment, fraction: number): Promise<void> {
    await deployment.arrived(Math.floor(fraction * this.log.windows.length))
  }

  /** Lets the rest of the windows fire, and holds them against those of the embedded run. */
  async compare(deployment: Deployment): Promise<void> {
    await deployment.putLastWords()
    await deployment.expect(this.log.windows)
    if (!this.cloud.isLocal) return
    // And that nothing comes behind them that changes one.
    await this.cloud.atRest()
    await deployment.expect(this.log.windows)
  }

  /** The example's job with other code around it, which changes nothing of what it does. Its path. */
  changedJob(generation: number): string {
    const entry = join(this.cloud.folder, `${this.name}-job-${generation}.ts`)
    const job = JSON.stringify(join(this.cloud.root, 'examples', 'ip-count', 'job.js'))
    writeFileSync(entry, `import job from ${job}\n\nconsole.info('generation ${generation}')\nexport default job\n`)
    return entry
  }

  /** Removes what was deployed. */
  async end(): Promise<void> {
    await Promise.all(this.#deployments.map((deployment) => deployment.discard()))
  }
}

/** One thing that a deployed job has to survive. */
export interface Scenario {
  readonly name: string
  /** For people. */
  readonly what: string
  /** It ends processes, or sets the pollers' faults. */
  readonly needsEmulator?: boolean
  run(stage: Stage): Promise<void>
}
