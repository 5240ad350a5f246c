namespace Ka.Tests.Server;

/// <summary>Archives that try to write outside the place where they are unpacked. Made new each time; nothing hostile lies in the tree.</summary>
static class EscapeArchives
{
    /// <param name="Outside">Absolute path of a directory outside the root; what an archive leaves there is seen.</param>
    public static IEnumerable<(string Name, byte[] Archive)> All(string outside)
    {
        var up = string.Concat(Enumerable.Repeat("../", 12));
        var bare = outside.TrimStart('/');
        return Names(outside, up, bare).Concat(Links(outside, up, bare)).Concat(HardLinks(outside, up, bare)).Concat(Records(outside, up, bare)).Concat(Swaps(outside, up, bare)).Concat(Odd(outside, up));
    }

    static TarBuilder Tar() => new TarBuilder().Directory("./");

    static IEnumerable<(string, byte[])> Names(string outside, string up, string bare)
    {
        yield return ("absolute file", Tar().File($"{outside}/got").End());
        yield return ("absolute file with two slashes", Tar().File($"//{bare}/got").End());
        yield return ("absolute directory", Tar().Directory($"{outside}/got").End());
        yield return ("absolute symbolic link", Tar().Symbolic($"{outside}/got", "/etc/passwd").End());
        yield return ("absolute fifo", Tar().Entry($"{outside}/got", '6').End());
        yield return ("absolute device", Tar().Entry($"{outside}/got", '3', major: 1, minor: 3).End());
        yield return ("file above the root", Tar().File($"{up}{bare}/got").End());
        yield return ("directory above the root", Tar().Directory($"{up}{bare}/got/").End());
        yield return ("file one above", Tar().File("../got").End());
        yield return ("file above by the middle", Tar().Directory("a").File($"a/{up}{bare}/got").End());
        yield return ("file above behind a dot", Tar().File($"./{up}{bare}/got").End());
        yield return ("file above with empty parts", Tar().File($".//..//{up}{bare}/got").End());
        yield return ("name of two dots", Tar().Entry("..", '5', mode: 0x1FF).End());
        yield return ("name that ends in two dots", Tar().Directory("a").Entry("a/../..", '5', mode: 0x1FF).End());
        yield return ("fifo above the root", Tar().Entry($"{up}{bare}/got", '6').End());
        yield return ("ustar prefix above the root", Tar().Entry("got", '0', "x"u8.ToArray(), change: h => System.Text.Encoding.ASCII.GetBytes($"{up}{bare}").CopyTo(h, 345)).End());
        yield return ("absolute ustar prefix", Tar().Entry("got", '0', "x"u8.ToArray(), change: h => System.Text.Encoding.ASCII.GetBytes(outside).CopyTo(h, 345)).End());
    }

    static IEnumerable<(string, byte[])> Links(string outside, string up, string bare)
    {
        yield return ("written through an absolute link", Tar().Symbolic("a", outside).File("a/got").End());
        yield return ("written through a link above", Tar().Symbolic("a", up + bare).File("a/got").End());
        yield return ("written through two links", Tar().Symbolic("a", "b").Symbolic("b", outside).File("a/got").End());
        yield return ("written through a link deeper down", Tar().Directory("d").Symbolic("d/a", "../" + up + bare).File("d/a/got").End());
        yield return ("directory through a link", Tar().Symbolic("a", outside).Directory("a/got").End());
        yield return ("link through a link", Tar().Symbolic("a", outside).Symbolic("a/got", "x").End());
        yield return ("hard link through a link", Tar().File("f").Symbolic("a", outside).Hard("a/got", "f").End());
        yield return ("device through a link", Tar().Symbolic("a", outside).Entry("a/got", '3', major: 1, minor: 3).End());
        yield return ("link named with a slash", Tar().Symbolic("a/", outside).File("a/got").End());
        yield return ("link named with a dot", Tar().Symbolic("./a", outside).File(".//a/./got").End());
        yield return ("a directory over a link, then into it", Tar().Symbolic("a", outside).Directory("a").File("a/got").End());
        yield return ("a mode for a directory behind a link", Tar().Symbolic("a", outside).Entry("a", '5', mode: 0x1FF).End());
        yield return ("a file over a link", Tar().Symbolic("a", $"{outside}/kept").File("a", "overwritten").End());
        yield return ("attributes for a file behind a link", Tar().Symbolic("a", $"{outside}/kept").Pax(("SCHILY.xattr.user.got", "1")).File("a", "overwritten").End());
    }

    static IEnumerable<(string, byte[])> HardLinks(string outside, string up, string bare)
    {
        yield return ("hard link to an absolute file", Tar().Hard("a", $"{outside}/kept").End());
        yield return ("hard link to an absolute file, then written", Tar().Hard("a", $"{outside}/kept").File("a", "overwritten").End());
        yield return ("hard link above, then written", Tar().Hard("a", $"{up}{bare}/kept").File("a", "overwritten").End());
        yield return ("hard link to a link, then written", Tar().Symbolic("a", $"{outside}/kept").Hard("b", "a").File("b", "overwritten").End());
        yield return ("hard link through a linked directory", Tar().Symbolic("a", outside).Hard("b", "a/kept").End());
        yield return ("hard link to nothing", Tar().Hard("a", "nothing").End());
        yield return ("hard link to itself", Tar().Hard("a", "a").End());
        yield return ("hard link to a directory", Tar().Directory("d").Hard("a", "d").End());
        yield return ("hard link to the root", Tar().Hard("a", ".").End());
    }

    static IEnumerable<(string, byte[])> Records(string outside, string up, string bare)
    {
        yield return ("pax path, absolute", Tar().Pax(("path", $"{outside}/got")).File("harmless").End());
        yield return ("pax path, above", Tar().Pax(("path", $"{up}{bare}/got")).File("harmless").End());
        yield return ("pax path, twice", Tar().Pax(("path", "harmless"), ("path", $"{outside}/got")).File("x").End());
        yield return ("pax path, from two records", Tar().Pax(("path", "harmless")).Pax(("path", $"{outside}/got")).File("x").End());
        yield return ("pax path with NUL", Tar().Pax(("path", $"harmless\0{outside}/got")).File("x").End());
        yield return ("pax linkpath", Tar().Pax(("linkpath", $"{outside}/kept")).Hard("a", "harmless").File("a", "overwritten").End());
        yield return ("pax name of a sparse file", Tar().Pax(("GNU.sparse.name", $"{outside}/got"), ("GNU.sparse.size", "4"), ("GNU.sparse.map", "0,4")).File("x").End());
        yield return ("long name, absolute", Tar().Long('L', $"{outside}/got").File("harmless").End());
        yield return ("long name, above", Tar().Long('L', $"{up}{bare}/got").File("harmless").End());
        yield return ("long link of a hard link", Tar().Long('K', $"{outside}/kept").Hard("a", "harmless").End());
        yield return ("global path", Tar().Global(("path", $"{outside}/got")).File("harmless").End());
        yield return ("long name over pax path", Tar().Pax(("path", "harmless")).Long('L', $"{outside}/got").File("x").End());
    }

    static IEnumerable<(string, byte[])> Swaps(string outside, string up, string bare)
    {
        yield return ("a directory that becomes a link", Tar().Directory("a").Symbolic("a", outside).File("a/got").End());
        yield return ("a full directory that becomes a link", Tar().Directory("a").File("a/x").Symbolic("a", outside).File("a/got").End());
        yield return ("a file that becomes a link", Tar().File("a").Symbolic("a", $"{outside}/got").File("a", "overwritten").End());
        yield return ("a link that changes its target", Tar().Symbolic("a", "b").Directory("b").Symbolic("a", outside).File("a/got").End());
        yield return ("the root as a link", new TarBuilder().Symbolic("./", outside).File("got").End());
        yield return ("a chain of relative links", Tar().Directory("d").Symbolic("d/up", "..").Symbolic("e", $"d/up/../{up}{bare}").File("e/got").End());
        yield return ("a file below a device", Tar().Entry("n", '3', major: 1, minor: 3).File("n/got").End());
        yield return ("a file below a file", Tar().File("f").File("f/got").End());
    }

    static IEnumerable<(string, byte[])> Odd(string outside, string up)
    {
        yield return ("an old file name that is a directory", Tar().Entry($"{outside}/got/", '\0').End());
        yield return ("a type nobody knows", Tar().Entry($"{outside}/got", 'Z', "x"u8.ToArray()).End());
        yield return ("a contiguous file", Tar().Entry($"{outside}/got", '7', "x"u8.ToArray()).End());
        yield return ("names of a tar before 1.11", Tar().Entry("././@x", 'N', System.Text.Encoding.ASCII.GetBytes($"Rename harmless to {outside}/got\n")).File("harmless").End());
        yield return ("symbolic link by a list of names", Tar().Entry("././@x", 'N', System.Text.Encoding.ASCII.GetBytes($"Symlink {outside} to a\n")).File("a/got").End());
        yield return ("a part of a volume", Tar().Entry($"{outside}/got", 'M', "x"u8.ToArray()).End());
        yield return ("an option as a name", Tar().File("--checkpoint-action=exec=touch got").File("--checkpoint=1").End());
        yield return ("above by bytes that are no text", Tar().File($"\xC0\xAE./{up}got").End());
    }
}
