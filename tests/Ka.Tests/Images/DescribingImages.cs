using Ka.Core.Environments;
using Ka.Server.Environments;
using Ka.Yaml;

namespace Ka.Tests.Images;

public class DescribingImages
{
    static Description Read(string text)
    {
        var (read, errors) = DescriptionReader.Read("a.yaml", text);
        Assert.True(read is not null, string.Join('\n', errors));
        return read;
    }

    [Fact]
    public void Dd_of_kadeploy3_is_a_raw_image_of_a_partition()
    {
        var read = Read("name: bsd\nos: other\nimage:\n  file: server:///images/bsd.dd.gz\n  kind: dd\n  compression: gzip\nfilesystem: ufs\npartition_type: 0xa5\n");
        Assert.Equal((ImageKind.Raw, ImageCompression.Gzip, new RawWish(RawTarget.Partition, false, null)), (read.Kind, read.Compression, read.Images[0].Raw));
    }

    [Fact]
    public void A_raw_image_is_for_the_whole_disk_unless_it_says_otherwise()
    {
        var read = Read("name: a\nimage: { file: a.raw.xz, kind: raw, grow: yes, root: label cloudimg-rootfs }\n");
        Assert.Equal((ImageCompression.Xz, new RawWish(RawTarget.Disk, true, "label cloudimg-rootfs")), (read.Compression, read.Images[0].Raw));
        Assert.Equal(RawTarget.Partition, Read("name: a\nimage: { file: a.raw, kind: raw, target: partition }\n").Images[0].Raw!.Target);
        Assert.True(Read("name: a\nimage: { file: a.qcow2, kind: qcow2 }\n").Images[0].Raw!.Qcow2);
    }

    [Fact]
    public void Several_images_name_their_partitions()
    {
        var read = Read("name: a\nimage: { file: root.tar.zst }\nimages:\n  - { file: data.img.gz, kind: raw, partition: data }\n  - { file: home.tar, partition: home }\n");
        Assert.Equal([null, "data", "home"], read.Images.Select(i => i.Partition));
        Assert.Equal([ImageKind.Tar, ImageKind.Raw, ImageKind.Tar], read.Images.Select(i => i.Kind));
        Assert.Equal(["root.tar.zst", "data.img.gz", "home.tar"], read.Files.Select(f => f.Path));
        Assert.Equal(RawTarget.Partition, read.Images[1].Raw!.Target);
    }

    [Theory]
    [InlineData("name: a\nimage: {file: a.fsa, kind: fsa}\nmultipart: true\noptions: {partitions: [{id: 0, device: /dev/sda3}]}\n", "multipart", "images:")]
    [InlineData("name: a\nimage: {file: a.tar}\nmultipart: true\noptions: {partitions: [{id: 0, device: /dev/sda3}, {id: 0, device: /dev/sda4}]}\n", "same id", "")]
    [InlineData("name: a\nimage: {file: a.tar}\nmultipart: true\noptions: {partitions: [{id: 0, device: /dev/sda3}, {id: 1, device: /dev/sda3}]}\n", "two partitions go to '/dev/sda3'", "")]
    [InlineData("name: a\nimage: {file: a.tar, grow: yes}\n", "'grow' is for disk images", "raw")]
    [InlineData("name: a\nimage: {file: a.raw, kind: raw, grow: perhaps}\n", "neither yes nor no", "")]
    [InlineData("name: a\nimage: {file: a.raw, kind: raw, root: /dev/sda1}\n", "names no partition", "label NAME")]
    [InlineData("name: a\nimage: {file: a.raw, kind: dd, root: partition 1}\n", "whole disks", "")]
    [InlineData("name: a\nimage: {file: a.qcow2.gz, kind: qcow2}\n", "compressed in itself", "")]
    [InlineData("name: a\nimage: {file: a.qcow2, kind: qcow2, target: partition}\n", "whole disk", "disk")]
    [InlineData("name: a\nimage: {file: a.tar}\nimages: [{file: b.raw, kind: raw}]\n", "partition", "")]
    [InlineData("name: a\nimage: {file: a.tar}\nimages: [{file: b.tar, partition: x}, {file: c.tar, partition: x}]\n", "two images", "")]
    [InlineData("name: a\nimage: {file: a.tar}\nimages: [{file: b.raw, kind: raw, target: disk, partition: x}]\n", "whole disk", "partition")]
    public void What_contradicts_itself_is_said(string text, string says, string next)
    {
        var (read, errors) = DescriptionReader.Read("a.yaml", text);
        Assert.Null(read);
        Assert.Contains(errors, e => e.Render(text) is var said && said.Contains(says, StringComparison.Ordinal) && said.Contains(next, StringComparison.Ordinal));
    }

    [Fact]
    public void Fsarchiver_images_are_refused_with_what_to_do_instead()
    {
        const string text = "name: a\nimage: {file: a.fsa, kind: fsa, compression: none}\n";
        var (read, errors) = DescriptionReader.Read("a.yaml", text);
        Assert.Null(read);
        var said = Assert.Single(errors).Render(text);
        Assert.Contains("fsarchiver", said);
        Assert.Contains("restfs", said);
    }

    [Fact]
    public void A_whole_disk_without_a_disk_image_is_refused()
    {
        const string text = "name: a\nimage: {file: a.tar, target: disk}\n";
        var (read, errors) = DescriptionReader.Read("a.yaml", text);
        Assert.Null(read);
        Assert.Contains("'target' is for disk images", Assert.Single(errors).Render(text));
    }

    [Fact]
    public void What_cloud_init_reads_is_what_was_meant_whatever_the_key_s_comment_is()
    {
        const string key = "ssh-ed25519 AAAA \"me\": [x] # {y}\\n - 'z'";
        var files = CloudInitSeed.Files("D-ABC234", "gris-1.site.fr", "52:54:00:00:00:01", [key]);
        Assert.StartsWith("#cloud-config\n", files["user-data"]);
        var user = Parse(files["user-data"]);
        Assert.Equal("gris-1", Text(user, "hostname"));
        Assert.Equal("false", Text(user, "ssh_deletekeys"));
        Assert.Equal(key, Assert.IsType<YamlScalar>(Assert.Single(Assert.IsType<YamlSequence>(user["ssh_authorized_keys"]).Items)).Text);
        var root = Assert.IsType<YamlMapping>(Assert.IsType<YamlSequence>(user["users"]).Items[1]);
        Assert.Equal("root", Text(root, "name"));
        var meta = Parse(files["meta-data"]);
        Assert.Equal(("D-ABC234-gris-1", "gris-1"), (Text(meta, "instance-id"), Text(meta, "local-hostname")));
        Assert.Contains("\"52:54:00:00:00:01\"", files["network-config"]);
        Assert.DoesNotContain("users", CloudInitSeed.Files("D-1", "a", "", [])["user-data"]);

        static YamlMapping Parse(string text)
        {
            Assert.True(YamlReader.TryParse("seed", text, YamlLimits.Default, out var root, out var errors), string.Join('\n', errors));
            return Assert.IsType<YamlMapping>(root);
        }

        static string Text(YamlMapping mapping, string name) => Assert.IsType<YamlScalar>(mapping[name]).Text;
    }
}
