import { runService } from '@humancast/shared';
import { startDemoProducer } from './demo-producer.js';
import { demoProducerSettings } from './settings.js';

runService('demo-producer', demoProducerSettings, startDemoProducer);
