-- Functions that indexes call. Applied before the tables: an index can only be made after its function. If the result of
-- one changes, its index must be made again under another name.

-- error_fingerprint: the same for errors that differ in numbers, ids, quoted texts and paths only; they probably have one
-- cause. Looks at the first 300 characters. Reads the text byte by byte (COLLATE "C"), so that it does not depend on the
-- server's language. Anybody may call it: who fails a job writes the index. Its cost says that reading the index is
-- cheaper than calling it for each row, also while a table has no statistics.
CREATE OR REPLACE FUNCTION public.error_fingerprint(p_error text) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE SET search_path = '' COST 10000
AS $$
    SELECT left(encode(sha256(convert_to(regexp_replace(
        left(coalesce(p_error, ''), 300) COLLATE "C",
        $re$(?<![[:alnum:]])(?:'[^']*'|"[^"]*"|`[^`]*`)$re$
            || $re$|[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$re$
            || $re$|(?:[A-Za-z]:)?(?:[\\/]+[[:alnum:]_.@%+~-]+)+$re$
            || $re$|\m(?:0[xX][0-9a-fA-F]+|(?=[0-9a-fA-F]*[0-9])[0-9a-fA-F]{6,})\M$re$
            || $re$|[0-9]+(?:[.,:][0-9]+)*$re$,
        '?', 'g'), 'UTF8')), 'hex'), 8)
$$;
GRANT EXECUTE ON FUNCTION public.error_fingerprint(text) TO PUBLIC;
