import type { ServerResponse } from 'node:http';
import { Controller, Get, Res } from '@nestjs/common';

/** Answers only when there is no `index.html`: static files come first. */
@Controller()
export class ConsoleController {
  @Get()
  missing(@Res() response: ServerResponse): void {
    response.writeHead(503, { 'content-type': 'text/plain; charset=utf-8', 'cache-control': 'no-store' });
    response.end('The console is not built. Build it with: npm run build -w @humancast/console\n');
  }
}
