import { callSettings } from '../../backends/aws/call-settings.js'
import { withPackages } from '../../backends/aws/optional-package.js'

/**
 * Loads a module of a connector that imports a client of the AWS SDK: the SDK is an optional dependency, and most jobs in one process have no use
 * for it. Throws PACKAGE_MISSING.
 */
export function loadClient<Module>(load: () => Promise<Module>): Promise<Module> {
  return withPackages('A connector to AWS', load, 'npm install')
}

/**
 * What a connector's client is made with. Region, credentials and endpoint are the SDK's business: AWS_REGION, AWS_PROFILE, AWS_ENDPOINT_URL and
 * their like. HTTP/1.1 where its handler can be found (it comes with the SDK), for Kinesis too, whose own choice would be HTTP/2: servers that
 * stand in for AWS hardly know that.
 */
export async function clientSettings() {
  const settings = callSettings()
  try {
    const { NodeHttpHandler } = await import('@smithy/node-http-handler')
    return { ...settings, requestHandler: new NodeHttpHandler(settings.requestHandler) }
  } catch {
    return settings
  }
}
