using System.Formats.Tar;
using System.Text;
using Ka.Core.Faults;
using Ka.Server.Environments;
using TarEntry = Ka.Server.Environments.TarEntry;

namespace Ka.Tests.Server;

public class Archives
{
    static readonly string Long = string.Join('/', Enumerable.Repeat("a-directory-with-a-long-name", 8)) + "/file";

    [Theory]
    [InlineData(TarEntryFormat.Ustar, "boot/short")]
    [InlineData(TarEntryFormat.Pax, null)]
    [InlineData(TarEntryFormat.Gnu, null)]
    public void Every_form_of_tar_gives_its_names_sizes_and_links(TarEntryFormat format, string? name)
    {
        name ??= Long;
        var (fault, entries) = Walk(Tar(format, (TarEntryType.Directory, "./boot/", null), (TarEntryType.RegularFile, name, "12345"), (TarEntryType.SymbolicLink, "link", name)));
        Assert.Null(fault);
        Assert.Equal([("/boot", '5', null, 0), ("/" + name, '0', null, 5), ("/link", '2', name, 0)], entries.Select(Bare));
    }

    [Fact]
    public void An_archive_that_is_cut_anywhere_is_refused()
    {
        var whole = Tar(TarEntryFormat.Pax, (TarEntryType.RegularFile, Long, new string('x', 1500)), (TarEntryType.RegularFile, "b", "1"), (TarEntryType.SymbolicLink, "c", "b"));
        var end = whole.Length;
        while (whole.AsSpan(end - 512, 512).IndexOfAnyExcept((byte)0) < 0)
            end -= 512;
        for (var length = 0; length < end + 1024; length += 512)
            Assert.Equal(FaultCodes.ArchiveTruncated, Walk(whole[..length]).Fault?.Code);
        for (var length = 1; length < end + 1024; length += 131)
            Assert.Equal(FaultCodes.ArchiveTruncated, Walk(whole[..length]).Fault?.Code);
        Assert.Null(Walk(whole[..(end + 1024)]).Fault);
    }

    [Fact]
    public void Zeros_may_follow_the_end_and_nothing_else()
    {
        var whole = Tar(TarEntryFormat.Ustar, (TarEntryType.RegularFile, "a", "1"));
        Assert.Null(Walk([.. whole, .. new byte[10_240]]).Fault);
        Assert.Equal(FaultCodes.ArchiveInvalid, Walk([.. whole, .. new byte[600], 1]).Fault?.Code);
    }

    [Fact]
    public void A_flipped_bit_in_a_header_or_a_hole_of_zeros_is_refused()
    {
        var whole = Tar(TarEntryFormat.Ustar, (TarEntryType.RegularFile, "a", "1"), (TarEntryType.RegularFile, "b", "2"));
        var flipped = (byte[])whole.Clone();
        flipped[3] ^= 1;
        Assert.Equal(FaultCodes.ArchiveInvalid, Walk(flipped).Fault?.Code);
        Assert.Equal(FaultCodes.ArchiveInvalid, Walk([.. new byte[512], .. whole]).Fault?.Code);
        Assert.Equal(FaultCodes.ArchiveInvalid, Walk(new byte[1024]).Fault?.Code);
        Assert.Equal(FaultCodes.ArchiveInvalid, Walk(Encoding.ASCII.GetBytes(new string('x', 2048))).Fault?.Code);
    }

    [Fact]
    public void An_old_gnu_sparse_file_is_walked_over_with_all_its_maps()
    {
        // Header of type S with one further map block, then 512 stored bytes.
        var header = Header("sparse", 'S', 512, more: true, realSize: 2000);
        var map = new byte[512];
        Encoding.ASCII.GetBytes("00000000144\000000001000\0").CopyTo(map, 0);
        var (fault, entries) = Walk([.. header, .. map, .. new byte[512].Select(_ => (byte)'d'), .. Header("after", '0', 0), .. new byte[1024]]);
        Assert.Null(fault);
        Assert.Equal([("/sparse", '0', null, 512), ("/after", '0', null, 0)], entries.Select(Bare));
        // 100 bytes of hole, 512 of data, and the rest of 2000 again a hole.
        var content = new byte[2000];
        content.AsSpan(100, 512).Fill((byte)'d');
        Assert.Equal((2000, RunningServer.Digest(content)), (entries[0].Size, entries[0].Sha256));
    }

    [Fact]
    public void An_entry_of_an_unknown_type_is_walked_over_with_its_content()
    {
        var (fault, entries) = Walk([.. Header("odd", 'D', 512), .. new byte[512].Select(_ => (byte)'d'), .. Header("after", '0', 0), .. new byte[1024]]);
        Assert.Null(fault);
        Assert.Equal(["/odd", "/after"], entries.Select(e => e.Path));
    }

    [Fact]
    public void A_kernel_behind_links_is_found_inside_the_archive_only()
    {
        var tree = Tree(("/boot/vmlinuz-6.1", '0', null), ("/vmlinuz", '2', "boot/vmlinuz"), ("/boot/vmlinuz", '2', "/boot/./vmlinuz-6.1"), ("/up", '2', "../../../boot/vmlinuz-6.1"), ("/b", '2', "boot"), ("/etc/own", '2', "/etc/passwd"));
        Assert.Equal("/boot/vmlinuz-6.1", tree.FindFile("/vmlinuz"));
        Assert.Equal("/boot/vmlinuz-6.1", tree.FindFile("/up"));
        Assert.Equal("/boot/vmlinuz-6.1", tree.FindFile("/b/vmlinuz"));
        Assert.Null(tree.FindFile("/etc/own"));
        Assert.Null(tree.FindFile("/boot"));
    }

    [Fact]
    public void Links_that_go_round_end() => Assert.Null(Tree(("/a", '2', "b"), ("/b", '2', "a"), ("/c", '2', "c/c/c")).FindFile("/a"));

    [Fact]
    public void The_newest_kernel_is_the_one_with_the_highest_numbers()
    {
        var tree = Tree(("/boot/vmlinuz-6.1.0-9-amd64", '0', null), ("/boot/vmlinuz-6.1.0-10-amd64", '0', null), ("/boot/initrd.img-6.1.0-10-amd64", '0', null));
        Assert.Equal(("/boot/vmlinuz-6.1.0-10-amd64", "/boot/initrd.img-6.1.0-10-amd64"), tree.FindKernel());
    }

    [Fact]
    public void A_missing_kernel_is_told_with_what_is_there() =>
        Assert.Contains("/boot/vmlinuz-1", Tree(("/boot/vmlinuz-1", '0', null)).CheckBoot("/boot/vmlinuz-2", null)?.Evidence);

    [Fact]
    public async Task The_store_keeps_what_it_was_told_and_nothing_else()
    {
        using var directory = new TemporaryDirectory();
        directory.Write("incoming/left-by-a-crash", "half");
        var store = new FileStore(directory.Path);
        var bytes = "abc"u8.ToArray();
        var digest = RunningServer.Digest(bytes);
        Assert.Equal(FaultCodes.ArchiveDigest, (await store.PutAsync(new string('0', 64), new MemoryStream(bytes), TestContext.Current.CancellationToken))?.Code);
        Assert.Empty(Directory.EnumerateFiles(directory.Path, "*", SearchOption.AllDirectories));
        Assert.Null(await store.PutAsync(digest, new MemoryStream(bytes), TestContext.Current.CancellationToken));
        Assert.Null(await store.PutAsync(digest, new MemoryStream(bytes), TestContext.Current.CancellationToken));
        Assert.True(store.Has(digest));
        Assert.Equal([store.PathOf(digest)], Directory.EnumerateFiles(directory.Path, "*", SearchOption.AllDirectories));
        Assert.Throws<ArgumentException>(() => store.PathOf("../../etc/passwd"));
        Assert.False(FileStore.IsDigest(digest.ToUpperInvariant()));
    }

    static ArchiveTree Tree(params (string Path, char Type, string? Link)[] entries)
    {
        var tree = new ArchiveTree();
        foreach (var (path, type, link) in entries)
            Assert.Null(tree.Add(new TarEntry(path, type, link, 0)));
        return tree;
    }

    static (Fault? Fault, List<TarEntry> Entries) Walk(byte[] archive)
    {
        var entries = new List<TarEntry>();
        var fault = TarWalk.Walk(new MemoryStream(archive), archive.Length, ArchiveLimits.Default, Take, CancellationToken.None);
        return (fault, entries);

        Fault? Take(TarEntry entry)
        {
            entries.Add(entry);
            return null;
        }
    }

    static (string, char, string?, long) Bare(TarEntry entry) => (entry.Path, entry.Type, entry.Link, entry.Bytes);

    static byte[] Tar(TarEntryFormat format, params (TarEntryType Type, string Name, string? Text)[] entries)
    {
        var archive = new MemoryStream();
        using (var writer = new TarWriter(archive, format, leaveOpen: true))
            foreach (var (type, name, text) in entries)
            {
                System.Formats.Tar.TarEntry entry = format switch
                {
                    TarEntryFormat.Ustar => new UstarTarEntry(type, name),
                    TarEntryFormat.Gnu => new GnuTarEntry(type, name),
                    _ => new PaxTarEntry(type, name),
                };
                if (type == TarEntryType.SymbolicLink)
                    entry.LinkName = text!;
                else if (text is not null)
                    entry.DataStream = new MemoryStream(Encoding.ASCII.GetBytes(text));
                writer.WriteEntry(entry);
            }
        return archive.ToArray();
    }

    static byte[] Header(string name, char type, long size, bool more = false, long realSize = 0)
    {
        var header = new byte[512];
        Encoding.ASCII.GetBytes(name).CopyTo(header, 0);
        Encoding.ASCII.GetBytes(Convert.ToString(size, 8).PadLeft(11, '0')).CopyTo(header, 124);
        header[156] = (byte)type;
        header[482] = (byte)(more ? 1 : 0);
        if (type == 'S')
            Encoding.ASCII.GetBytes(Convert.ToString(realSize, 8).PadLeft(11, '0')).CopyTo(header, 483);
        header.AsSpan(148, 8).Fill((byte)' ');
        Encoding.ASCII.GetBytes(Convert.ToString(header.Sum(b => b), 8).PadLeft(6, '0') + "\0 ").CopyTo(header, 148);
        return header;
    }
}
