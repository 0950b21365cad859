import type { ControlError } from '../functions/control-handler.js'
import type { ControlRequest } from '../functions/control-requests.js'
import { withPackages } from '../runtime/backends/aws/optional-package.js'
import { ERROR_CODES, MillraceError } from '../runtime/core/index.js'
import { awsFailure } from './aws-failure.js'
import { controlFunction, type DeployedFlags } from './deployed-target.js'

/** A deployed job as the commands speak to it: requests to its control function. */
export class DeployedJob {
  private constructor(
    /** Name or ARN of its control function. */
    readonly functionName: string,
  ) {}

  /** Throws DEPLOYMENT_NOT_FOUND, AWS_CALL, PACKAGE_MISSING. */
  static async find(flags: DeployedFlags): Promise<DeployedJob> {
    return new DeployedJob(await controlFunction(flags))
  }

  /** Throws the error that the job answered with, DEPLOYMENT_NOT_FOUND, AWS_CALL. */
  async ask<T>(request: ControlRequest): Promise<T> {
    const { callFunction } = await withPackages('Calling a deployed job', () => import('../functions/function-call.js'))
    const where = `function ${this.functionName}`
    const { payload, failed } = await awsFailure('Invoke', where, 'lambda:InvokeFunction of the control function', () =>
      this.#call(() => callFunction(this.functionName, JSON.stringify(request))),
    )
    if (failed) throw functionFailed(where, payload)
    const answer = JSON.parse(payload) as T | ControlError | null
    if (isControlError(answer)) throw jobsError(answer)
    return answer as T
  }

  async #call<T>(call: () => Promise<T>): Promise<T> {
    try {
      return await call()
    } catch (thrown) {
      if (!(thrown instanceof Error && thrown.name === 'ResourceNotFoundException')) throw thrown
      throw new MillraceError('DEPLOYMENT_NOT_FOUND', {
        what: `There is no function ${this.functionName} in this account and region`,
        todo: 'Check --function, AWS_REGION and AWS_PROFILE; or give --stack NAME.',
        cause: thrown,
      })
    }
  }
}

function isControlError(answer: unknown): answer is ControlError {
  return typeof answer === 'object' && answer !== null && typeof (answer as Partial<ControlError>).error?.message === 'string'
}

/** Of a newer version it may have a code that is not known here. */
function jobsError({ error: { code, message, detail } }: ControlError): MillraceError {
  if (code in ERROR_CODES && detail !== undefined) return new MillraceError(code, detail)
  return new MillraceError('CONTROL_REFUSED', { what: message })
}

/** What Lambda answers for a function that threw or ended: `{ errorType, errorMessage, trace }`. */
function functionFailed(where: string, payload: string): MillraceError {
  let said = payload
  try {
    const { errorType, errorMessage } = JSON.parse(payload) as { readonly errorType?: string; readonly errorMessage?: string }
    said = [errorType, errorMessage].filter((part) => part !== undefined).join(': ')
  } catch {
    // Not JSON: as it came.
  }
  return new MillraceError('AWS_CALL', {
    what: `the control function failed: ${said}`,
    where,
    todo: "Its log group in CloudWatch says more; a time-out or a lack of memory is mended by StreamJob's memorySize.",
  })
}
