using System.Buffers.Binary;
using Ka.Core.Environments;
using Ka.Server.Environments;

namespace Ka.Tests.Images;

public class Qcow2Headers
{
    static byte[] Header(Action<byte[]>? change = null)
    {
        var header = new byte[104];
        ((byte[])[(byte)'Q', (byte)'F', (byte)'I', 0xFB, 0, 0, 0, 3]).CopyTo(header, 0);
        BinaryPrimitives.WriteInt64BigEndian(header.AsSpan(24), 2L << 30);
        change?.Invoke(header);
        return header;
    }

    [Fact]
    public void A_plain_image_tells_its_size() => Assert.Equal((2L << 30, null), Qcow2.Probe(Header()));

    public static TheoryData<int, byte, string> Bad => new()
    {
        { 15, 1, "backing file" }, // offset of its name
        { 19, 1, "backing file" }, // length of its name
        { 35, 1, "encrypted" },
        { 79, 4, "another file" }, // external data file
        { 79, 2, "damaged" }, // marked corrupt
        { 79, 32, "not known" },
        { 72, 1, "not known" },
        { 7, 4, "version 7" },
        { 3, 0xFC, "no whole qcow2 header" },
        { 31, 1, "bytes is not taken" }, // no whole sectors
        { 24, 1, "bytes is not taken" }, // an exabyte
    };

    [Theory]
    [MemberData(nameof(Bad))]
    public void What_would_lead_to_other_files_or_is_not_understood_is_refused(int at, byte value, string says)
    {
        var (_, fault) = Qcow2.Probe(Header(h => h[at] |= value));
        Assert.Equal("archive.invalid", fault?.Code.Text);
        Assert.Contains(says, fault!.Message);
    }

    [Fact]
    public void Another_format_is_named_and_a_cut_header_refused()
    {
        Assert.Contains("vmdk", Qcow2.Probe([.. "KDMV"u8, .. new byte[100]]).Fault!.Message);
        Assert.NotNull(Qcow2.Probe(Header().AsSpan(0, 60)).Fault);
    }

    [Fact]
    public void A_disk_larger_than_any_image_that_is_taken_is_refused() =>
        Assert.NotNull(Qcow2.Probe(Header(h => BinaryPrimitives.WriteInt64BigEndian(h.AsSpan(24), BlockHashes.ImageLimit + 512))).Fault);
}
