import { openApiDocument } from '@humancast/protocol/openapi';
import { Controller, Get } from '@nestjs/common';

/** Serves the OpenAPI document of both services. */
@Controller('v1/openapi.json')
export class OpenApiController {
  readonly #document = openApiDocument();

  @Get()
  get(): object {
    return this.#document;
  }
}
