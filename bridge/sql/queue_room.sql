-- queue_room: see migrations/0003_road.sql
SELECT queue, room, slots, shared_with FROM public.queue_room()
